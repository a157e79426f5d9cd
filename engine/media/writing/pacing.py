"""Times for encoders and containers that count frames instead of time."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from keeprt.engine.errors import MediaError

#: A gap that is longer is no gap.
MOST_FILLED_S = 600
_FAR = Fraction(1, 4)
#: What MPEG-2 can say (ISO/IEC 13818-2, table 6-4).
STANDARD_RATES = tuple(
    Fraction(rate)
    for rate in ("24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60")
)
_NEAR = Fraction(1, 200)
_MOST_DENOMINATOR = 1001


def counted_rate(average: Fraction, base: Fraction | None, standard_only: bool) -> Fraction:
    """The rate at which the frames of a video are counted: a standard one if the video has it.

    Averages of files are a little off, for the last frame's length is anybody's guess. `base` is
    the lowest rate at which every frame has a place. `standard_only`: nothing else can be said.
    """
    if average in STANDARD_RATES:
        return average
    if base in STANDARD_RATES and base >= average * (1 - _NEAR):
        return base
    near = min(STANDARD_RATES, key=lambda rate: abs(rate / average - 1))
    if abs(near / average - 1) < _NEAR:
        return near
    if standard_only:
        return next((rate for rate in STANDARD_RATES if rate >= average), STANDARD_RATES[-1])
    return average.limit_denominator(_MOST_DENOMINATOR)


@dataclass
class FramePacer:
    """Gives each frame its number at a constant rate.

    Two frames that fall on one number are put side by side; `moved` counts these, and frames whose
    time is a quarter of a frame or more from that of their number. `fills`: gaps
    are filled by repeating a frame, for a container that keeps no times; `filled` counts these.
    """

    rate: Fraction
    fills: bool
    last: int | None = None
    moved: int = 0
    filled: int = 0

    def numbers(self, time_s: Fraction) -> range:
        """The numbers at which a frame of this time is shown, at least one.

        Raises MediaError for a gap that would be filled for longer than `MOST_FILLED_S`.
        """
        exact = time_s * self.rate
        wanted = round(exact)
        if self.last is not None and wanted <= self.last:
            wanted = self.last + 1
        self.moved += abs(wanted - exact) > _FAR
        first = wanted if self.last is None or not self.fills else self.last + 1
        if (wanted - first) / self.rate > MOST_FILLED_S:
            raise MediaError(
                f"the picture stands still for {float((wanted - first) / self.rate):.0f} s before "
                f"{float(time_s):.0f} s, and this container fills gaps with repeated frames; write "
                "a .mkv or .mp4 file"
            )
        self.filled += wanted - first
        self.last = wanted
        return range(first, wanted + 1)
