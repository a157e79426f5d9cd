"""Frames on the card: each lane's share on its stream, captured and replayed, and waited for."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from keeprt.engine.backends.cuda_device import Enqueue
from keeprt.engine.backends.cuda_guest import join_stream, one_line
from keeprt.engine.lanes import LANES
from keeprt.engine.operations import Operation
from keeprt.engine.plan import Plan
from keeprt.engine.segments import Segment, segments_of

if TYPE_CHECKING:
    from cuda.core import Device, Event, Stream
    from cuda.core.graph import Graph

EVENTS = 4  # per lane; a wait reaches at most two frames back
KEPT_KINDS = 64  # of frames, bound and captured; a face that begins goes through `window` of them

Bind = Callable[[Operation], list[Enqueue]]


@dataclass
class _Part:
    """Consecutive operations of a share, by stage; live ones are put on the stream each time."""

    steps: list[tuple[str | None, list[Enqueue]]]
    live: bool
    graph: Graph | None = None


@dataclass
class _Share:
    """A lane's part of one kind of frame, bound; captured at its second use."""

    segment: Segment
    parts: list[_Part]
    runs: int = 0


class CudaLanes:
    """Up to three streams, the waits between them, and the shares of every kind of frame."""

    def __init__(
        self,
        card: Device,
        plan: Plan,
        *,
        stream: object | None = None,
        eager: bool = False,
        captures: bool = True,
        live: Collection[str] = (),
    ) -> None:
        """`stream` is the caller's: frames wait for it and it for them. `eager` waits after each
        operation. Operations named in `live` have addresses that change from frame to frame."""
        self.streams = {lane: join_stream(card, None) for lane in LANES}
        #: Seconds in each stage, which only an eager frame can tell apart.
        self.stage_seconds: defaultdict[str, float] = defaultdict(float)
        self._plan, self._live = plan, live
        self._caller = None if stream is None else join_stream(card, stream)
        self._eager, self._captures = eager, captures and not eager
        self._tracker = plan.tracker()
        self._events = {lane: [card.create_event() for _ in range(EVENTS)] for lane in LANES}
        self._shares: dict[object, list[_Share]] = {}

    def submit(
        self, kind: object, index: int, frame: Callable[[], Sequence[Operation]], bind: Bind
    ) -> Event:
        """Frame number `index`, of a kind whose operations are listed and bound at its first use.

        Returns what its "download" is waited for by.
        """
        for share in self._shares.get(kind) or self._bound(kind, index, frame(), bind):
            self._run(share)
        lane = self._plan.lane("download")
        last = self._event(lane, self._tracker.newest(lane).index)
        if self._caller is not None:
            self._caller.wait(last)
        return last

    def begin(self, lane: str) -> Stream:
        """The stream of a lane, made to wait for the caller's."""
        stream = self.streams[lane]
        if self._caller is not None:
            stream.wait(self._caller)
        return stream

    def synchronise(self) -> None:
        """Waits for everything submitted."""
        with one_line("the card failed"):
            for stream in self.streams.values():
                stream.sync()

    def _bound(
        self, kind: object, index: int, frame: Sequence[Operation], bind: Bind
    ) -> list[_Share]:
        if len(self._shares) >= KEPT_KINDS:
            self.synchronise()  # a graph that is being replayed is not to be dropped
            self._shares.pop(next(iter(self._shares)))
        self._shares[kind] = [
            _Share(segment, self._parts(segment, bind))
            for segment in segments_of(frame, self._plan, index)
        ]
        return self._shares[kind]

    def _parts(self, segment: Segment, bind: Bind) -> list[_Part]:
        grouped = groupby(segment.operations, key=lambda op: op.name in self._live)
        return [_Part([(op.stage, bind(op)) for op in ops], live) for live, ops in grouped]

    def _run(self, share: _Share) -> None:
        lane = share.segment.lane
        stream = self.streams[lane]
        for node in self._tracker.submit(lane, share.segment.reads, share.segment.writes):
            stream.wait(self._event(node.lane, node.index))
        self._work(share, stream)
        stream.record(self._event(lane, self._tracker.newest(lane).index))

    def _work(self, share: _Share, stream: Stream) -> None:
        share.runs += 1
        for part in share.parts:
            if share.runs == 2 and self._captures and not part.live:
                part.graph = capture(stream, part)
            if part.graph is not None:
                part.graph.launch(stream)
            else:
                self._put(stream, part)

    def _put(self, stream: Stream, part: _Part) -> None:
        for stage, steps in part.steps:
            start = time.perf_counter()
            for step in steps:
                step(stream)
            if self._eager:
                stream.sync()
                if stage:
                    self.stage_seconds[stage] += time.perf_counter() - start

    def _event(self, lane: str, index: int) -> Event:
        return self._events[lane][index % EVENTS]


def capture(stream: Stream, part: _Part) -> Graph:
    """The part as one graph, captured on a stream that it is not run on."""
    builder = stream.create_graph_builder()
    builder.begin_building()
    for _, steps in part.steps:
        for step in steps:
            step(builder)
    return builder.end_building().complete()
