"""What a list of measured times says: percentiles, jitter, and how many streams fit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.errors import UsageError

UNSTABLE_PERCENT = 2.5
STREAM_RATES_FPS = (25, 30, 50, 60)
STREAMS_RULE = (
    "n streams at f fps are sustained if n frames, one of each, are restored one batch after the "
    "other within 1/f s even when every batch takes its p99: n is the largest b * floor(1/f / p99) "
    "over the measured batches of b faces, and never more than faces per second / f"
)


@dataclass(frozen=True)
class Distribution:
    """Times in milliseconds, with the statistics and words of NVIDIA's trtexec.

    p50 is the median. The percentile of P % leaves out the floor((1 - P/100) N) largest of N
    samples and is the largest of the others, so that below 100 samples p99 is the maximum. `cv` is
    the coefficient of variation in percent: standard deviation (of N) by mean. `jitter` is the
    mean absolute difference of neighbouring samples of one round, None where no round has two.
    """

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    p999: float
    max: float
    cv: float
    jitter: float | None

    @property
    def unstable(self) -> str:
        """A warning where the times vary too much to be quoted, else empty."""
        if self.cv <= UNSTABLE_PERCENT or self.count < 2:
            return ""
        return (
            f"time is unstable, with a coefficient of variation of {self.cv:.1f} % "
            f"(above {UNSTABLE_PERCENT:g} %)"
        )


def distribution(rounds_s: Sequence[Sequence[float]]) -> Distribution:
    """Distribution of the samples of all rounds, given in seconds. Raises UsageError for none."""
    samples = np.sort(1e3 * np.array([sample for samples in rounds_s for sample in samples]))
    if not samples.size:
        raise UsageError("no sample was measured: ask for at least one round of one frame")
    steps = [abs(b - a) for round_ in rounds_s for a, b in pairwise(round_)]
    return Distribution(
        count=int(samples.size),
        mean=float(samples.mean()),
        p50=float(np.median(samples)),
        p90=percentile(samples, 900),
        p99=percentile(samples, 990),
        p999=percentile(samples, 999),
        max=float(samples[-1]),
        cv=float(100 * samples.std() / samples.mean()) if samples.mean() else 0.0,
        jitter=1e3 * sum(steps) / len(steps) if steps else None,
    )


def percentile(ordered: NDArray[np.float64], per_mille: int) -> float:
    """trtexec's percentile of ascending samples, in exact arithmetic."""
    count = len(ordered)
    excluded = (1000 - per_mille) * count // 1000
    return float(ordered[max(count - 1 - excluded, 0)])


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
