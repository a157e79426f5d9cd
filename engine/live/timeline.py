"""A source's 33-bit times as ticks that never wrap, and where one time line ends, another begins.

Interface: `line, placed = place(line, pts)` for each frame's PTS in order of arrival, from
`TimeLine()` on. `placed` is the `Placed` of that frame, or None while a jump is being judged. Where
`placed.line` has grown the source began again: a new clock, and new slots' anchor.

FFmpeg lets PTS fall back by 2^33 ticks every 26.5 hours; here each is taken next to the one before.
A time over 5 s after the last, or over 1 s before it, is a jump. One or two are damage (a bit
flipped in a header), and those frames are left out; three that agree are a new time line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

TICKS_PER_S = 90_000
WRAP = 1 << 33
JUMP_S, BACK_S = 5, 1
JUMPS_IN_A_ROW = 3


class Placed(NamedTuple):
    """`ticks` of 90 kHz on time line number `line`; lines and ticks of a line are comparable."""

    line: int
    ticks: int

    @property
    def seconds(self) -> float:
        """The same place in seconds."""
        return self.ticks / TICKS_PER_S


@dataclass(frozen=True, slots=True)
class TimeLine:
    """Where the source stands: times in ticks of 90 kHz, unwrapped, a new line after a jump."""

    line: int = 0
    last: int | None = None  # unwrapped
    suspect: int | None = None  # the last of the jumps in a row, next to `last`
    suspects: int = 0


def place(line: TimeLine, pts: int) -> tuple[TimeLine, Placed | None]:
    """The state after a frame's PTS, of which the lowest 33 bits count, and where it lies."""
    if line.last is None:
        return _at(line.line, pts % WRAP)
    ticks = next_to(line.last, pts)
    if _is_near(ticks, line.last):
        return _at(line.line, ticks)
    agrees = line.suspect is not None and _is_near(next_to(line.suspect, pts), line.suspect)
    suspects = line.suspects + 1 if agrees else 1
    if suspects == JUMPS_IN_A_ROW:
        return _at(line.line + 1, pts % WRAP)
    return TimeLine(line.line, line.last, ticks, suspects), None


def next_to(reference: int, pts: int) -> int:
    """The time that equals `pts` in its 33 bits and lies nearest to `reference`."""
    return reference + (pts - reference + WRAP // 2) % WRAP - WRAP // 2


def _at(number: int, ticks: int) -> tuple[TimeLine, Placed]:
    return TimeLine(number, ticks), Placed(number, ticks)


def _is_near(ticks: int, reference: int) -> bool:
    return -BACK_S * TICKS_PER_S <= ticks - reference <= JUMP_S * TICKS_PER_S
