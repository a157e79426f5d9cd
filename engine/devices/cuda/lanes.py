"""Frames on the card: each lane's share on its stream, and the waits between the streams."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keeprt.engine.devices.cuda.guest import join_stream, one_line
from keeprt.engine.devices.cuda.ranges import open_ranges
from keeprt.engine.devices.cuda.times import FrameClock
from keeprt.engine.frame.lanes import AFTER, CHAIN
from keeprt.engine.frame.layout import Layout
from keeprt.engine.frame.operations import Operation
from keeprt.engine.frame.segments import waits_of

if TYPE_CHECKING:
    from cuda.core import Device, Event, Stream

EVENTS = 4  # per lane; a wait reaches at most two frames back

Enqueue = Callable[["Stream", Sequence[int]], object]  # takes the slot of each row's state


@dataclass(frozen=True)
class Step:
    """One operation, bound: what it puts on a stream."""

    name: str
    stage: str | None
    enqueues: Sequence[Enqueue]


Shares = Mapping[str, Sequence[Step]]  # by lane


class CudaLanes:
    """Up to three streams and the waits between them, which are the same for every frame."""

    def __init__(
        self,
        card: Device,
        layout: Layout,
        steady: Sequence[Operation],
        *,
        stream: object | None = None,
        eager: bool = False,
    ) -> None:
        """`stream` is the caller's: frames wait for it and it for them. `eager` waits after each
        operation."""
        self._waits = waits_of(steady, layout)
        # The recurrent chain is what the next frame waits for: its work goes first.
        self.streams = {
            lane: join_stream(card, None, urgent=lane == CHAIN) for lane in self._waits[0]
        }
        #: Seconds in each stage, which only an eager frame can tell apart.
        self.stage_seconds: defaultdict[str, float] = defaultdict(float)
        self._caller = None if stream is None else join_stream(card, stream)
        self._eager, self._ranges = eager, open_ranges()
        #: Times every step while it is there.
        self.clock: FrameClock | None = None
        self._last = AFTER if AFTER in self.streams else layout.lane("download")
        self._events = {lane: _events(card, lane == self._last) for lane in self.streams}

    def submit(self, index: int, shares: Shares, slots: Sequence[int]) -> Event:
        """Frame number `index`; returns what its "download" is waited for by.

        After an error everything that was submitted is done, and the same number may come again.
        """
        try:
            for lane, waits in self._waits[index % 2].items():
                stream, events = self.streams[lane], self._events[lane]
                for other, back in waits:
                    if back <= index:
                        stream.wait(self._events[other][(index - back) % EVENTS])
                self._put(stream, shares.get(lane, ()), slots)
                stream.record(events[index % EVENTS])
        except Exception:
            self.settle()
            raise
        last = self._events[self._last][index % EVENTS]
        if self._caller is not None:
            self._caller.wait(last)
        return last

    def begin(self, lane: str) -> Stream:
        """The stream of a lane, made to wait for the caller's."""
        stream = self.streams[lane]
        if self._caller is not None:
            stream.wait(self._caller)
        return stream

    def timed(self, stream: Stream, name: str) -> AbstractContextManager[None]:
        """Around what is put on a stream by that name."""
        return nullcontext() if self.clock is None else self.clock.timed(stream, name)

    def synchronise(self) -> None:
        """Waits for everything submitted."""
        with one_line("the card failed"):
            for stream in self.streams.values():
                stream.sync()

    def settle(self) -> None:
        """Waits for everything submitted, as far as a failing card lets it."""
        for stream in self.streams.values():
            try:
                stream.sync()
            except Exception:  # the error that led here is the one to tell
                return

    def close(self) -> None:
        """Gives events and streams of ours back, once everything is done."""
        events = [event for lane in self._events.values() for event in lane]
        held: list[Any] = [*events, *self.streams.values()]  # cuda-core leaves close() untyped
        for each in held:
            each.close()

    def _put(self, stream: Stream, steps: Sequence[Step], slots: Sequence[int]) -> None:
        if self._eager or self._ranges is not None or self.clock is not None:
            for step in steps:
                self._put_watched(stream, step, slots)
            return
        for step in steps:
            for enqueue in step.enqueues:
                enqueue(stream, slots)

    def _put_watched(self, stream: Stream, step: Step, slots: Sequence[int]) -> None:
        start = time.perf_counter()
        if self._ranges is not None:
            self._ranges.push(step.name)
        try:
            with self.timed(stream, step.name):
                for enqueue in step.enqueues:
                    enqueue(stream, slots)
            if self._eager:
                stream.sync()
        finally:
            if self._ranges is not None:
                self._ranges.pop()
        if self._eager and step.stage:
            self.stage_seconds[step.stage] += time.perf_counter() - start


def _events(card: Device, waited_for: bool) -> list[Event]:
    """A lane's events; a thread that waits for one sleeps and does not spin."""
    from cuda.core import EventOptions

    return [card.create_event(EventOptions(blocking_sync=waited_for)) for _ in range(EVENTS)]
