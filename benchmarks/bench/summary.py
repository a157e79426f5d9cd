"""What a list of measured times says: percentiles, jitter, and how many streams fit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from keeprt.engine.errors import UsageError

STREAM_RATES_FPS = (25, 30, 50, 60)
STREAMS_RULE = (
    "n streams at f fps are sustained if n frames, one of each, are restored one batch after the "
    "other within 1/f s even when every batch takes its p99: n is the largest b * floor(1/f / p99) "
    "over the measured batches of b faces, and never more than faces per second / f"
)


@dataclass(frozen=True)
class Distribution:
    """Times in milliseconds. Percentiles are samples (nearest rank, none is interpolated).

    Below 100 samples p99 is therefore the largest. `jitter` is the mean absolute difference of
    neighbouring samples of one round.
    """

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    max: float
    jitter: float


def distribution(rounds_s: Sequence[Sequence[float]]) -> Distribution:
    """Distribution of the samples of all rounds, given in seconds. Raises UsageError for none."""
    samples = 1e3 * np.array([sample for samples in rounds_s for sample in samples])
    if not samples.size:
        raise UsageError("no sample was measured: ask for at least one round of one frame")
    p50, p90, p99 = np.percentile(samples, (50, 90, 99), method="inverted_cdf")
    steps = [abs(b - a) for round_ in rounds_s for a, b in pairwise(round_)]
    return Distribution(
        count=int(samples.size),
        mean=float(samples.mean()),
        p50=float(p50),
        p90=float(p90),
        p99=float(p99),
        max=float(samples.max()),
        jitter=1e3 * sum(steps) / len(steps) if steps else 0.0,
    )


@dataclass(frozen=True)
class BatchSpeed:
    """What one batch size achieved: `faces` restored together in a call of `p99_s` at worst."""

    faces: int
    p99_s: float
    faces_per_s: float


def sustained_streams(
    speeds: Iterable[BatchSpeed], rates_fps: Sequence[int] = STREAM_RATES_FPS
) -> Mapping[int, int]:
    """Streams by frame rate, by STREAMS_RULE; 0 where not even one keeps up."""
    speeds = list(speeds)
    return {fps: max((_streams(speed, fps) for speed in speeds), default=0) for fps in rates_fps}


def _streams(speed: BatchSpeed, fps: int) -> int:
    in_time = speed.faces * math.floor(1 / fps / speed.p99_s)
    return min(in_time, math.floor(speed.faces_per_s / fps))
