"""The slot clock: one picture per tick, at a constant delay, whatever comes or does not come.

Interface, all times in seconds of our clock:

* `slots = Slots(period_s, delay_s, capacity)`; `period_s` is a Fraction.
* `slots.arrive(placed, clock, picture)` when a frame was decoded: the slot it waits in, or the
  reason why it is not taken (`Refused`). `placed` is what `timeline.place` gave, `clock` the locked
  clock of that time line, as it is now.
* `slots.restored(slot, picture)` when the restorer answered; False where its tick has passed.
* `slots.next_tick_s()` is when the next tick is due, `slots.due_s(slot)` when that of a slot is.
* `slots.tick()` at that time gives the `Shown`: slot, PTS, kind and picture. From the first frame
  on each call gives one, its PTS one step after the last, its picture never older than the last.

A slot shows the restored picture if that is there in time, else the original, else the last one
again. Where a new time line begins, or the clock was anchored anew, the first frame is joined where
it is due: it takes the slot nearest to that, and the ticks from there on are its own, so that the
delay stays what was declared; until then ticks go on as before. `slots.shift` is what to add to
the source's ticks to get the output's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import floor
from typing import Generic, TypeVar

from keeprt.engine.live.clock import Clock, local_time
from keeprt.engine.live.timeline import TICKS_PER_S, Placed

Picture = TypeVar("Picture")


class Kind(StrEnum):
    """What a tick showed."""

    RESTORED = "restored"
    ORIGINAL = "original"
    REPEAT = "repeat"


class Refused(StrEnum):
    """Why a frame was not taken."""

    LATE = "late"
    DUPLICATE = "duplicate"
    AHEAD = "ahead"  # further than the slots reach
    OLD_LINE = "old line"


@dataclass(frozen=True, slots=True)
class Shown(Generic[Picture]):
    """`pts`: ticks of 90 kHz that grow for ever; a stream carries the lowest 33 bits."""

    slot: int
    pts: int
    kind: Kind
    picture: Picture


@dataclass(frozen=True, slots=True)
class _Anchor:
    """A frame and the slot that it has; `epoch`: its time line, and the steps of its clock."""

    epoch: tuple[int, int]
    ticks: int
    slot: int


@dataclass(slots=True)
class _Waiting(Generic[Picture]):
    original: Picture
    restored: Picture | None = None


class Slots(Generic[Picture]):
    """`capacity`: how many slots ahead a picture may wait, at least those of the delay."""

    def __init__(self, period_s: Fraction, delay_s: float, capacity: int) -> None:
        self.period_s, self.delay_s, self.capacity = period_s, delay_s, capacity
        self.counts: Counter[str] = Counter()
        self._anchor: _Anchor | None = None
        self._clock = Clock()
        self._first_pts = 0
        self._next = 0
        self._waiting: dict[int, _Waiting[Picture]] = {}
        self._last: Picture | None = None

    def arrive(self, placed: Placed, clock: Clock, picture: Picture) -> int | Refused:
        """Puts a picture into the slot of its time; gives the slot, or why there is none for it."""
        epoch = (placed.line, clock.steps)
        if self._anchor is None:
            self._anchor, self._first_pts = _Anchor(epoch, placed.ticks, 0), placed.ticks
        elif placed.line < self._anchor.epoch[0]:
            return self._refuse(Refused.OLD_LINE)
        elif epoch != self._anchor.epoch:
            self._join(epoch, placed, clock)
        self._clock = clock
        slot = self._slot(placed.ticks)
        if slot < self._next:
            return self._refuse(Refused.LATE)
        if slot in self._waiting:
            return self._refuse(Refused.DUPLICATE)
        if slot >= self._next + self.capacity:
            return self._refuse(Refused.AHEAD)
        self._waiting[slot] = _Waiting(picture)
        return slot

    def restored(self, slot: int, picture: Picture) -> bool:
        """Puts the restored picture of a slot in its place; False where the slot was shown
        already."""
        waiting = self._waiting.get(slot)
        if waiting is None:
            self.counts["restored too late"] += 1
            return False
        waiting.restored = picture
        return True

    def next_tick_s(self) -> float | None:
        """None before the first frame."""
        return None if self._anchor is None else self.due_s(self._next)

    def due_s(self, slot: int) -> float:
        """When a slot's tick is; what the restorer's deadline is counted from."""
        anchor = self._begun()
        source_s = Fraction(anchor.ticks, TICKS_PER_S) + (slot - anchor.slot) * self.period_s
        return local_time(self._clock, float(source_s)) + self.delay_s

    @property
    def next_slot(self) -> int:
        """The slot of the next tick."""
        return self._next

    def original(self, slot: int) -> Picture | None:
        """The picture that waits in a slot, as it came; None where there is none any more."""
        waiting = self._waiting.get(slot)
        return None if waiting is None else waiting.original

    def tick(self) -> Shown[Picture] | None:
        """What this tick shows; None before the first frame."""
        if self._anchor is None:
            return None
        slot, waiting = self._next, self._waiting.pop(self._next, None)
        self._next += 1
        kind, picture = self._choose(waiting)
        self._last = picture
        self.counts[kind] += 1
        return Shown(slot, self.pts(slot), kind, picture)

    def pts(self, slot: int) -> int:
        """The PTS of a slot, rounded once from the first: it does not drift."""
        return self._first_pts + round(slot * self.period_s * TICKS_PER_S)

    @property
    def shift(self) -> int:
        """Ticks from the source's time line to the output's: 0 on the first."""
        return 0 if self._anchor is None else self.pts(self._anchor.slot) - self._anchor.ticks

    @property
    def waiting(self) -> int:
        """How many slots hold a picture that was not shown yet."""
        return len(self._waiting)

    def _join(self, epoch: tuple[int, int], placed: Placed, clock: Clock) -> None:
        due_s = local_time(clock, placed.seconds) + self.delay_s
        away = (due_s - self.due_s(self._next)) / float(self.period_s)
        # Of a frame that comes too late itself the slot lies in the past: the ticks are right.
        slot = self._next + floor(away + 0.5)
        self._anchor = _Anchor(epoch, placed.ticks, slot)
        self._waiting = {n: held for n, held in self._waiting.items() if n < slot}
        self.counts["joins"] += 1

    def _slot(self, ticks: int) -> int:
        anchor = self._begun()
        steps = Fraction(ticks - anchor.ticks, TICKS_PER_S) / self.period_s
        # Half a period goes to the later one, always: two frames never meet by rounding.
        return anchor.slot + floor(steps + Fraction(1, 2))

    def _begun(self) -> _Anchor:
        if self._anchor is None:
            raise ValueError("no frame has arrived yet")
        return self._anchor

    def _choose(self, waiting: _Waiting[Picture] | None) -> tuple[Kind, Picture]:
        if waiting is None:
            assert self._last is not None  # the first frame has the first slot
            return Kind.REPEAT, self._last
        if waiting.restored is not None:
            return Kind.RESTORED, waiting.restored
        return Kind.ORIGINAL, waiting.original

    def _refuse(self, reason: Refused) -> Refused:
        self.counts[reason] += 1
        return reason
