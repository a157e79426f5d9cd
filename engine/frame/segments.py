"""A frame cut by lanes: what each lane does of it in one go, and what it waits for before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keeprt.engine.frame.lanes import LANES
from keeprt.engine.frame.layout import Layout
from keeprt.engine.frame.operations import Operation


@dataclass(frozen=True)
class Segment:
    """A lane's operations of one frame, and the physical buffers that they read and write."""

    lane: str
    operations: tuple[Operation, ...]
    reads: frozenset[str]
    writes: frozenset[str]


def segments_of(frame: Sequence[Operation], layout: Layout, index: int) -> list[Segment]:
    """The segments of frame number `index`, in an order that respects all its dependencies."""
    segments = []
    for lane in LANES:
        operations = tuple(op for op in frame if layout.lane(op.name) == lane)
        reads, writes = (
            frozenset(layout.physical(buffer, index) for buffer in buffers)
            for buffers in (
                frozenset[str]().union(*(op.reads for op in operations)),
                frozenset[str]().union(*(op.writes for op in operations)),
            )
        )
        if operations:
            segments.append(Segment(lane, operations, reads, writes))
    return segments


Waits = tuple[tuple[str, int], ...]  # lanes, and how many frames back
SETTLED = 8  # frames after which what is waited for repeats


def waits_of(steady: Sequence[Operation], layout: Layout) -> list[dict[str, Waits]]:
    """What each lane waits for before its share of an even and of an odd frame, in lanes' order.

    `steady` is a list that is repeated for ever. Every other list touches a part of what it
    touches, in the same lanes, so that these waits are enough for all.
    """
    tracker, found = layout.tracker(), []
    for index in range(SETTLED):
        waits: dict[str, Waits] = {}
        for segment in segments_of(steady, layout, index):
            nodes = tracker.submit(segment.lane, segment.reads, segment.writes)
            waits[segment.lane] = tuple((n.lane, index + 1 - n.index) for n in nodes)
        found.append(waits)
    return found[-2:]
