"""Chapters of the part that is written."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from keeprt.engine.media.pyav import fraction

if TYPE_CHECKING:
    from av.container.core import Chapter

_TICKS = Fraction(1, 1000)


def kept_chapters(
    chapters: list[Chapter], begin_s: float, end_s: float | None, shift_s: float
) -> list[Chapter]:
    """Those that overlap `begin_s` to `end_s` of the source, cut to it, earlier by `shift_s`."""
    kept: list[Chapter] = []
    for chapter in chapters:
        base = fraction(chapter["time_base"]) or _TICKS
        first = max(float(chapter["start"] * base), begin_s)
        last = float(chapter["end"] * base)
        last = last if end_s is None else min(last, end_s)
        if last > first:
            moved = {
                "start": max(0, round((first - shift_s) / _TICKS)),
                "end": round((last - shift_s) / _TICKS),
                "time_base": _TICKS,
            }
            kept.append({**chapter, **moved})  # type: ignore[typeddict-item]
    return kept
