"""What the wire last said, who waits for news, and commands that wait for their answer.

Interface: `hub = Hub(link)`, then `hub.read()` whenever the link has something. `hub.status` and
`hub.events` are the last; `await hub.changed(turn)` waits for news, and
`await hub.command(name, values)` for the wire's `Answer`. All in one event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from keeprt.engine.errors import KeeprtError
from keeprt.engine.live.link import Link
from keeprt.engine.live.status import KEPT_EVENTS, Answer, Command, Event, Status

ANSWER_WITHIN_S = 5.0
#: The wire speaks five times a second: of an older word nobody knows whether it still holds.
STATUS_HOLDS_S = 1.0


class WireError(KeeprtError):
    """The wire does not answer, or is gone."""


class Hub:
    """The control process's view of the wire."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.status = Status()
        self.events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._heard_s: float | None = None
        self.turn = 0  # grows with all that the wire says
        self._news = asyncio.Event()
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self._commands = 0

    @property
    def age_s(self) -> float | None:
        """How old the status is; None before the first."""
        return None if self._heard_s is None else time.monotonic() - self._heard_s

    @property
    def is_heard(self) -> bool:
        """Whether the status is of now."""
        return self.age_s is not None and self.age_s < STATUS_HOLDS_S

    def read(self) -> None:
        """Takes all that the wire has said."""
        for thing in self.link.receive():
            if isinstance(thing, Status):
                self.status, self._heard_s = thing, time.monotonic()
            elif isinstance(thing, Event):
                self.events.append(thing)
            elif isinstance(thing, Answer):
                self._answered(thing)
        self.turn += 1
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def changed(self, turn: int) -> int:
        """The next turn after `turn`, once the wire has said something more."""
        while self.turn == turn:
            await self._news.wait()
        return self.turn

    def after(self, number: int) -> list[Event]:
        """The events that are still kept with a higher number."""
        return [event for event in self.events if event.number > number]

    def tell(self, name: str, values: Mapping[str, Any] | None = None) -> int:
        """Sends a command and waits for nothing; its number."""
        self._commands += 1
        self.link.send(Command(self._commands, name, dict(values or {})))
        return self._commands

    async def command(self, name: str, values: Mapping[str, Any] | None = None) -> Answer:
        """Sends a command and waits for the answer. Raises WireError where none comes."""
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        number = self.tell(name, values)
        self._answers[number] = waiting
        try:
            return await asyncio.wait_for(waiting, ANSWER_WITHIN_S)
        except TimeoutError:
            why = "is gone" if self.link.closed else f"has not answered for {ANSWER_WITHIN_S:.0f} s"
            raise WireError(f"the channel {why}") from None
        finally:
            self._answers.pop(number, None)

    def _answered(self, answer: Answer) -> None:
        waiting = self._answers.get(answer.number)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
