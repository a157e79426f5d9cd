"""Everything that is derived from a frame's operations before any memory is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from keeprt.engine.frame.arena import Arena, conflicts, pack, physical
from keeprt.engine.frame.buffers import BufferSpec
from keeprt.engine.frame.lanes import AHEAD, doubled_buffers, lane_of, lanes_of
from keeprt.engine.frame.operations import Operation
from keeprt.engine.frame.waits import Tracker


@dataclass(frozen=True)
class Layout:
    """The lane of each operation, the buffers of which there are two, and where each lies."""

    lanes: Mapping[str, str]
    doubled: frozenset[str]
    arena: Arena

    def physical(self, buffer: str, index: int) -> str:
        """The buffer that frame number `index` uses under this name."""
        return physical(buffer, index, self.doubled)

    def lane(self, operation: str) -> str:
        """The lane of an operation."""
        return lane_of(operation, self.lanes)

    def tracker(self) -> Tracker:
        """A new one, before the first frame."""
        shared = {buffer: self.arena.overlapping(buffer) for buffer in self.arena.offsets}
        return Tracker(lambda buffer: shared.get(buffer, (buffer,)))


def serial_layout(cycle: Sequence[Sequence[Operation]], specs: Mapping[str, BufferSpec]) -> Layout:
    """All in one lane, one operation at a time: the least memory."""
    lanes = {op.name: AHEAD for frame in cycle for op in frame}
    return Layout(lanes, frozenset(), _arena(cycle, lanes, frozenset(), specs))


def open_layout(layout: Layout) -> Layout:
    """The same with memory of its own for every buffer, so that each can be looked at later."""
    sizes = layout.arena.sizes
    everything = {buffer: sizes.keys() - {buffer} for buffer in sizes}
    return replace(layout, arena=pack(sizes, everything))


def overlapped_layout(steady: Sequence[Operation], specs: Mapping[str, BufferSpec]) -> Layout:
    """What does not wait for the previous frame runs beside the recurrent chain."""
    lanes = lanes_of(steady)
    doubled = doubled_buffers(steady, lanes) & specs.keys()
    return Layout(lanes, doubled, _arena([steady], lanes, doubled, specs))


def _arena(
    cycle: Sequence[Sequence[Operation]],
    lanes: Mapping[str, str],
    doubled: frozenset[str],
    specs: Mapping[str, BufferSpec],
) -> Arena:
    found = conflicts(cycle, lanes, doubled)
    sizes = {
        buffer: specs[name].size_bytes
        for buffer in found
        if (name := buffer.partition("@")[0]) in specs
    }
    inside = {buffer: [other for other in found[buffer] if other in sizes] for buffer in sizes}
    return pack(sizes, inside)
