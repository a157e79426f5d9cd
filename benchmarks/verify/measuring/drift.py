"""Whether an error grows with the frame number."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import theilslopes

from keeprt.benchmarks.verify.measuring.errors import FrameError
from keeprt.benchmarks.verify.result import FrameRow

FEWEST_FRAMES = 10
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Drift:
    """Trend of log10(error) in decades per 100 frames, with its 95 % interval.

    Theil-Sen (the median of the slopes of all pairs), which single outliers do not move; the
    interval takes frames as independent, so that with errors that persist it is too narrow.
    `frames` counts those that went in; the slopes are NaN for fewer than FEWEST_FRAMES.
    """

    frames: int
    slope: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """False for too few frames."""
        return not math.isnan(self.slope)

    def statement(self) -> str:
        """In words, whether it grows."""
        if not self.known:
            return f"{self.frames} comparable frames are too few to tell a trend"
        trend = (
            f"{self.slope:+.3f} decades per 100 frames (95 % interval {self.low:+.3f} to "
            f"{self.high:+.3f}, Theil-Sen over {self.frames} frames)"
        )
        if self.low > 0:
            return f"the error grows: {trend}"
        return f"the error {'shrinks' if self.high < 0 else 'does not grow'}: {trend}"


def trend(frames: Sequence[float], errors: Sequence[float]) -> Drift:
    """The trend of errors against frame numbers; errors of 0 have no logarithm and are left out."""
    pairs = [(x, e) for x, e in zip(frames, errors, strict=True) if e > 0 and math.isfinite(e)]
    if len(pairs) < FEWEST_FRAMES or len({x for x, _ in pairs}) < 2:
        return Drift(len(pairs), math.nan, math.nan, math.nan)
    x, y = np.array(pairs).T
    slope, _, low, high = theilslopes(np.log10(y), x, CONFIDENCE)
    return Drift(len(pairs), float(slope) * 100, float(low) * 100, float(high) * 100)


def drift_of(
    rows: Sequence[FrameRow], mode: str, error: Callable[[FrameRow], FrameError | None]
) -> Drift:
    """Trend of one run's relative L2 error over frames whose codes are all equal.

    In stream mode against the frame number; in clip mode, where each chunk begins anew, against
    the frames since then.
    """
    found = [(row, e) for row in rows if (e := error(row)) is not None and not e.codes.flips]
    frames = [row.frame if mode == "stream" else e.since_same_state for row, e in found]
    return trend(frames, [e.relative_l2 for _, e in found])


def before_first_flip(
    rows: Sequence[FrameRow], error: Callable[[FrameRow], FrameError | None]
) -> list[FrameRow]:
    """The rows before a run's first flipped code."""
    kept: list[FrameRow] = []
    for row in rows:
        found = error(row)
        if found is not None and found.codes.flips:
            break
        kept.append(row)
    return kept


def carried(rows: Sequence[FrameRow]) -> list[float]:
    """How much larger the error is for what came from frame to frame, at sampled frames.

    The synced run's relative L2 by that of the same frame restored from the reference's state: 1
    where the past adds nothing, so that an error that grows comes with the pictures.
    """
    return [
        row.synced.relative_l2 / row.forced.relative_l2
        for row in rows
        if row.forced is not None
        and row.synced.since_same_state > 1
        and not (row.synced.codes.flips or row.forced.codes.flips)
        and row.forced.relative_l2 > 0
    ]
