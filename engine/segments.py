"""A frame cut by lanes: what each lane does of it in one go, as a CUDA graph is launched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keeprt.engine.lanes import LANES
from keeprt.engine.operations import Operation
from keeprt.engine.plan import Plan


@dataclass(frozen=True)
class Segment:
    """A lane's operations of one frame, and the physical buffers that they read and write."""

    lane: str
    operations: tuple[Operation, ...]
    reads: frozenset[str]
    writes: frozenset[str]


def segments_of(frame: Sequence[Operation], plan: Plan, index: int) -> list[Segment]:
    """The segments of frame number `index`, in an order that respects all its dependencies."""
    segments = []
    for lane in LANES:
        operations = tuple(op for op in frame if plan.lane(op.name) == lane)
        reads, writes = (
            frozenset(plan.physical(buffer, index) for buffer in buffers)
            for buffers in (
                frozenset[str]().union(*(op.reads for op in operations)),
                frozenset[str]().union(*(op.writes for op in operations)),
            )
        )
        if operations:
            segments.append(Segment(lane, operations, reads, writes))
    return segments
