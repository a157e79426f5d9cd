"""Damage in what is read: an error at the first, or counted, as was asked for."""

from __future__ import annotations

import logging
from typing import Literal, get_args

from keeprt.engine.errors import UsageError
from keeprt.engine.media.errors import TruncatedMediaError

log = logging.getLogger(__name__)

OnDamage = Literal["stop", "skip"]
_SHOWN = 8


class Damage:
    """Counts the damaged places of one source. `places` holds the first of them as text."""

    def __init__(self, name: str, on_damage: OnDamage) -> None:
        """Raises UsageError for anything but "stop" and "skip"."""
        if on_damage not in get_args(OnDamage):
            raise UsageError(f"unknown on_damage {on_damage!r}; choose 'stop' or 'skip'")
        self.name, self.stops = name, on_damage == "stop"
        self.count = 0
        self.places: list[str] = []

    def report(self, what: str, frames: int, cause: BaseException | None = None) -> None:
        """One damaged place after so many frames. Raises TruncatedMediaError in "stop"."""
        if self.stops:
            raise TruncatedMediaError(
                f"{self.name} is damaged or cut short: {what}; {frames} frames were decoded "
                "before; --on-damage skip goes on",
                frames,
            ) from cause
        self.count += 1
        if len(self.places) < _SHOWN:
            self.places.append(f"at frame {frames}: {what}")
        log.debug("%s is damaged at frame %d: %s", self.name, frames, what)

    def summary(self) -> str | None:
        """One line for the end; None if nothing was damaged."""
        if not self.count:
            return None
        more = f" and {self.count - len(self.places)} more" if self.count > _SHOWN else ""
        places = "1 damaged place" if self.count == 1 else f"{self.count} damaged places"
        return f"{self.name}: {places} skipped: {'; '.join(self.places)}{more}"
