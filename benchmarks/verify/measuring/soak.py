"""Many frames in one go: whether time and memory grow with them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import theilslopes

from keeprt.benchmarks.verify.measuring.drift import CONFIDENCE, FEWEST_FRAMES
from keeprt.benchmarks.verify.result import FrameRow
from keeprt.engine.frame.pixels import Picture

SETTLING = 0.1  # of the frames at the start are left out: caches and pools fill
PER_FRAMES = 1000
#: Memory may not certainly grow by more than so many MB in a thousand frames.
LARGEST_MB = 2.0


@dataclass(frozen=True)
class Slope:
    """A trend per thousand frames with its 95 % interval (Theil-Sen), NaN for too few frames."""

    what: str
    unit: str
    median: float
    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """False for too few frames."""
        return not math.isnan(self.value)

    def statement(self) -> str:
        """In words."""
        if not self.known:
            return f"{self.what}: too few frames to tell a trend"
        return (
            f"{self.what}: median {self.median:.4g} {self.unit}, {self.value:+.3g} {self.unit} per "
            f"{PER_FRAMES} frames (95 % interval {self.low:+.3g} to {self.high:+.3g})"
        )


def slopes(rows: Sequence[FrameRow]) -> list[Slope]:
    """Of the runtime's time and the process's memory, where they were noted."""
    kept = rows[int(SETTLING * len(rows)) :]
    return [
        _slope("time of a frame", "ms", [(r.frame, r.runtime_ms) for r in kept]),
        _slope("resident memory", "MB", [(r.frame, r.resident_mb) for r in kept]),
    ]


def there_and_back(faces: Iterator[Picture], frames: int) -> Iterator[Picture]:
    """At least two faces as so many: forwards, backwards, forwards again, without a cut."""
    held = list(faces)
    cycle = [*held, *reversed(held[1:-1])]
    for number in range(frames if held else 0):
        yield cycle[number % len(cycle)]


def _slope(what: str, unit: str, pairs: list[tuple[int, float | None]]) -> Slope:
    known = [(frame, value) for frame, value in pairs if value]
    if len(known) < FEWEST_FRAMES:
        return Slope(what, unit, math.nan, math.nan, math.nan, math.nan)
    x, y = np.array(known).T
    slope, _, low, high = (PER_FRAMES * float(s) for s in theilslopes(y, x, CONFIDENCE))
    return Slope(what, unit, float(np.median(y)), slope, low, high)
