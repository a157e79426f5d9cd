"""What is shown while nothing comes in: a ladder of repeat, black and slate.

Interface: `ladder = parse_ladder("repeat=500ms,black=2s,slate=FILE")` once, then
`ladder.shown(lost_s)` at each tick without a fresh picture; `lost_s` is how long it has been since
the last one, counted in ticks, so that the steps fall on the same frame whatever our clock does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from keeprt.engine.errors import UsageError


class Cover(StrEnum):
    """What covers a loss."""

    REPEAT = "repeat"
    BLACK = "black"
    SLATE = "slate"


@dataclass(frozen=True)
class Rung:
    """`until_s` seconds after the loss; None for ever. `path` of the slate's picture."""

    cover: Cover
    until_s: float | None
    path: str = ""


@dataclass(frozen=True)
class Ladder:
    """What covers a loss, by how long it has lasted: each rung until its second, the last for
    ever."""

    rungs: tuple[Rung, ...]

    def shown(self, lost_s: float) -> Rung:
        """What covers a tick that comes `lost_s` after the last fresh picture."""
        lasts = (r for r in self.rungs if r.until_s is None or lost_s < r.until_s - 1e-6)
        return next(lasts, self.rungs[-1])


DEFAULT_LADDER = "repeat=500ms,black"


def parse_ladder(text: str = DEFAULT_LADDER) -> Ladder:
    """`repeat=TIME`, `black=TIME`, `slate=FILE`, in this order, each at most once.

    The last stays for ever; times are `500ms` or `2s`, and may be left out there. Raises
    UsageError.
    """
    rungs: list[Rung] = []
    end_s = 0.0
    parts = [part.strip() for part in text.split(",")]
    for number, part in enumerate(parts):
        name, _, value = part.partition("=")
        cover = _cover(name, rungs, text)
        if cover is Cover.SLATE:
            rungs.append(Rung(cover, None, _slate(value, number == len(parts) - 1, text)))
        else:
            lasts = number == len(parts) - 1
            end_s += 0.0 if lasts and not value else seconds(value, text)
            rungs.append(Rung(cover, None if lasts else end_s))
    return Ladder(tuple(rungs))


def seconds(text: str, whole: str = "") -> float:
    """`500ms` or `2s` in seconds. Raises UsageError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", text)
    if found is None:
        where = f" in {whole!r}" if whole and whole != text else ""
        raise UsageError(f"{text!r}{where} is no time; give 500ms or 2s")
    return float(found[1]) * (1e-3 if found[2] == "ms" else 1)


def _cover(name: str, before: list[Rung], text: str) -> Cover:
    order = list(Cover)
    if name not in order:
        raise UsageError(f"{name!r} in {text!r} covers no loss; give repeat, black or slate")
    cover = Cover(name)
    if before and order.index(before[-1].cover) >= order.index(cover):
        raise UsageError(f"{text!r}: give repeat, black and slate in this order, each once")
    return cover


def _slate(path: str, is_last: bool, text: str) -> str:
    if not path or not is_last:
        raise UsageError(f"{text!r}: the slate is a picture's path and comes last")
    return path
