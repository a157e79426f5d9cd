"""Settings that were changed, each with the tick from which it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from keeprt.engine.errors import UsageError
from keeprt.engine.live.status import Settings


class Pending:
    """`now`: those that hold; `at(slot)`: those that a slot will be shown with."""

    def __init__(self, settings: Settings) -> None:
        self.now = settings
        self._later: list[tuple[int, Settings]] = []

    def add(self, values: Mapping[str, Any], following: int, offered: int) -> int:
        """From which tick they hold. A bypass holds from `following`, the next one; all else from
        `offered` on: what is restored already was restored by the old ones. Raises UsageError."""
        last = self._later[-1][1] if self._later else self.now
        try:
            new = replace(last, **values)
        except TypeError as error:
            raise UsageError(f"there is no such setting: {error}") from error
        new.check()
        restored_anew = replace(new, bypass=last.bypass) != last
        slot = offered if restored_anew else max([following, *(at for at, _ in self._later)])
        self._later.append((slot, new))
        return slot

    def at(self, slot: int) -> Settings:
        """See the class."""
        return next((one for at, one in reversed(self._later) if at <= slot), self.now)

    def reach(self, slot: int) -> None:
        """The tick of a slot has come."""
        while self._later and self._later[0][0] <= slot:
            self.now = self._later.pop(0)[1]
