"""Device and pinned memory, taken once: the arena, the faces' states, staging for pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keeprt.engine.devices.cuda.guest import one_line
from keeprt.engine.devices.cuda.kept import KeptMemory
from keeprt.engine.frame.arena import ALIGNMENT
from keeprt.engine.frame.buffers import Array, BufferSpec
from keeprt.engine.frame.layout import Layout
from keeprt.engine.frame.operations import Outside, View

if TYPE_CHECKING:
    from cuda.core import Buffer, Device, Stream


@dataclass(frozen=True)
class Span:
    """Bytes on the device."""

    address: int
    size_bytes: int


class CudaMemory:
    """Where every view and every slot of a face's state lies; nothing is taken after the start."""

    def __init__(
        self,
        device: Device,
        stream: Stream,
        layout: Layout,
        specs: Mapping[str, BufferSpec],
        state_shapes: Mapping[str, tuple[int, ...]],
        slots: int,
    ) -> None:
        """`state_shapes` are the float32 arrays of one face's state. Raises BackendError."""
        self._layout, self._specs, self._shapes = layout, specs, dict(state_shapes)
        self._starts: dict[str, int] = {}
        slot_bytes = 0
        for name, shape in self._shapes.items():
            self._starts[name] = slot_bytes
            slot_bytes += -(-4 * math.prod(shape) // ALIGNMENT) * ALIGNMENT
        self._slot_bytes, self._slots = slot_bytes, slots
        self.size_bytes = layout.arena.size_bytes + slots * slot_bytes
        self._kept, self._stream = KeptMemory(device, stream), stream
        self._block = self._kept.take(self.size_bytes)
        with one_line("the card's memory cannot be cleared"):
            self._block.fill(0, stream=stream)
        self._places: dict[tuple[str, int, int | None], list[Buffer]] = {}
        self._constants: dict[tuple[str, bytes], Buffer] = {}

    def view(self, view: View, index: int) -> Span:
        """The bytes of a view as frame number `index` uses it."""
        spec = self._specs[view.buffer]
        start = self._layout.arena.offsets[self._layout.physical(view.buffer, index)]
        start += view.offset * spec.dtype.itemsize
        return Span(self._base + start, math.prod(view.shape) * spec.dtype.itemsize)

    def state(self, operand: Outside, slot: int) -> Span:
        """The bytes of "state.NAME", or of the part of it that `operand` names."""
        name = operand.buffer.removeprefix("state.")
        shape = self._shapes[name]
        row_bytes = 4 * math.prod(shape[1:])
        count = shape[0] if operand.count is None else operand.count
        start = self._layout.arena.size_bytes + slot * self._slot_bytes + self._starts[name]
        return Span(self._base + start + operand.first * row_bytes, count * row_bytes)

    def inside(self, view: View, index: int) -> Buffer:
        """The bytes of a view as frame number `index` uses it, as cuda-core has them."""
        return self.buffer(self.view(view, index))

    def places(self, operand: Outside) -> list[Buffer]:
        """The bytes of "state.NAME", or of the part that `operand` names, in each slot."""
        key = (operand.buffer, operand.first, operand.count)
        if key not in self._places:
            spans = (self.state(operand, slot) for slot in range(self._slots))
            self._places[key] = [self.buffer(span) for span in spans]
        return self._places[key]

    def clear(self) -> None:
        """Zeros everywhere, as at the start; waits for it."""
        self._block.fill(0, stream=self._stream)
        self._stream.sync()

    def close(self) -> None:
        """Gives all memory back, once everything on the card is done."""
        self._places.clear()
        self._constants.clear()
        self._kept.close()

    def buffer(self, span: Span) -> Buffer:
        """cuda-core's handle to bytes of the block; it frees nothing."""
        from cuda.core import Buffer

        return Buffer.from_handle(span.address, span.size_bytes, owner=self._block)

    def take(self, size_bytes: int) -> Buffer:
        """Further device memory, at start-up; it lives as long as this object."""
        return self._kept.take(size_bytes)

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> tuple[Buffer, Array]:
        """Page-locked host memory, as cuda-core and as NumPy see it."""
        return self._kept.pinned(shape, dtype)

    def pinned_part(self, pinned: tuple[Buffer, Array], rows: int) -> Buffer:
        """The first rows of page-locked memory."""
        from cuda.core import Buffer

        buffer, array = pinned
        return Buffer.from_handle(int(buffer.handle), array[:rows].nbytes, owner=buffer)

    def constant(self, values: Array) -> Buffer:
        """Device memory that holds `values` from here on, one for equal ones; waits for the copy.

        There are few: which rows are first frames, and which of a window's frames is the newest.
        """
        key = (values.dtype.str, values.tobytes())
        if key not in self._constants:
            self._constants[key] = self._made_constant(values)
        return self._constants[key]

    def _made_constant(self, values: Array) -> Buffer:
        staging, array = self.pinned(values.shape, values.dtype)
        array[:] = values
        buffer = self.take(values.nbytes)
        staging.copy_to(buffer, stream=self._stream)
        self._stream.sync()
        return buffer

    @property
    def _base(self) -> int:
        return int(self._block.handle)
