"""Timecodes: hh:mm:ss:ff, or hh:mm:ss;ff with dropped numbers (SMPTE ST 12-1)."""

from __future__ import annotations

import re
from fractions import Fraction

_TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d+)$")
_DAY_HOURS = 24


def moved(timecode: str, seconds: float, rate: Fraction | None) -> str | None:
    """The timecode so many seconds later; None if it, or the frame rate, cannot be read."""
    found = _TIMECODE.match(timecode)
    if found is None or not rate:
        return None
    hours, minutes, second, mark, frame = found.groups()
    nominal = round(rate)
    dropped = nominal // 15 if mark in ";." else 0
    count = _number(int(hours), int(minutes), int(second), int(frame), nominal, dropped)
    return _text(count + round(seconds * rate), nominal, dropped, mark)


def _number(hours: int, minutes: int, second: int, frame: int, nominal: int, dropped: int) -> int:
    """The frame's number since midnight: two (or four) numbers of a minute are dropped, but not in
    each tenth minute."""
    total = hours * 60 + minutes
    return (total * 60 + second) * nominal + frame - dropped * (total - total // 10)


def _text(count: int, nominal: int, dropped: int, mark: str) -> str:
    minute, ten = 60 * nominal - dropped, 600 * nominal - 9 * dropped
    count %= ten * 6 * _DAY_HOURS
    tens, rest = divmod(count, ten)
    if dropped and rest >= 60 * nominal:
        count += dropped * (9 * tens + 1 + (rest - 60 * nominal) // minute)
    else:
        count += dropped * 9 * tens
    seconds, frame = divmod(count, nominal)
    minutes, second = divmod(seconds, 60)
    width = len(str(nominal - 1))
    return (
        f"{minutes // 60 % 24:02d}:{minutes % 60:02d}:{second:02d}{mark}{frame:0{max(2, width)}d}"
    )
