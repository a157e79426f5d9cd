"""Operations on the card: each bound once to addresses, then put on a stream or into a capture.

Subgraphs run through `Engines` (TensorRT, ONNX Runtime), the warp through a kernel of ours, the
rest are copies and fills of the driver.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.bundle.specs import SubgraphSpec
from keeprt.engine.devices.cuda.lanes import Enqueue
from keeprt.engine.devices.cuda.memory import CudaMemory
from keeprt.engine.devices.cuda.runs import BoundRuns
from keeprt.engine.frame.buffers import Array, BufferSpec
from keeprt.engine.frame.operations import (
    Bindings,
    Copy,
    Infer,
    Operation,
    Outside,
    Put,
    View,
    Warp,
    Work,
)
from keeprt.kernels import launch
from keeprt.kernels.launch import Launch
from keeprt.kernels.loader import prepared

if TYPE_CHECKING:
    from cuda.core import Buffer, Kernel


@dataclass(frozen=True)
class Equipment:
    """What a device works with: memory, what runs its subgraphs and kernels, and its buffers, for
    frames of so many faces."""

    memory: CudaMemory
    runs: BoundRuns
    kernels: dict[str, Kernel]
    specs: Mapping[str, BufferSpec]
    bundle: Bundle
    faces: int


class CudaDevice:
    """Binds operations to one block of device memory; what pictures need is for its subclasses."""

    def __init__(self, given: Equipment) -> None:
        """Takes pinned memory for what leaves the card, for two frames."""
        self._memory, self._runs, self._kernels = given.memory, given.runs, given.kernels
        self._specs, self._subgraphs = given.specs, given.bundle.subgraphs
        #: What leaves the card beside the pictures, of even and of odd frames: codebook indices
        #: int64 and margins float32, both (faces, tokens).
        self.given = [
            {name: self._pinned_like(given, name) for name in ("codes", "margin")} for _ in range(2)
        ]

    def bind(self, operation: Operation, index: int, faces: int) -> list[Enqueue]:
        """The operation as frame number `index` runs it; only copies know the slots of states."""
        bound = [self._bound(work, index, faces) for work in operation.work]
        bound += [self._give(buffer, index, faces) for buffer in operation.also_reads]
        return [enqueue for enqueue in bound if enqueue is not None]

    def _pinned_like(self, given: Equipment, name: str) -> tuple[Buffer, Array]:
        tokens = self._subgraphs["decoder"].output(name).sized(faces=1)[1]
        return given.memory.pinned((given.faces, tokens), self._specs[name].dtype)

    def _bound(self, work: Work, index: int, faces: int) -> Enqueue | None:
        match work:
            case Infer(subgraph, inputs, outputs):
                return self._infer(subgraph, (*inputs, *outputs), index)
            case Warp():
                return self._warp(work, index)
            case Copy(Outside() as source, View() as target):
                return self._recall(source, self._memory.inside(target, index))
            case Copy(View() as source, Outside() as target):
                return self._keep(self._memory.inside(source, index), target)
            case Copy(Outside() as source, Outside() as target):
                return self._shift(source, target)
            case Copy(View() as source, View() as target):
                inside = self._memory.inside
                return self._copy(inside(source, index), inside(target, index))
            case Put(target, values):
                return None if 0 in target.shape else self._put(target, values, index)
            case _:
                return self._of_pictures(work, index)

    def _of_pictures(self, work: Work, index: int) -> Enqueue:
        raise NotImplementedError(f"this device has no {type(work).__name__}")

    def _give(self, buffer: str, index: int, faces: int) -> Enqueue:
        """What the caller reads afterwards beside the pictures: the first rows of a buffer."""
        _, pinned = self.given[index % 2][buffer]
        part = self._memory.pinned_part(self.given[index % 2][buffer], faces)
        return self._copy(
            self._memory.inside(View(buffer, (faces, *pinned.shape[1:])), index), part
        )

    def _infer(self, subgraph: str, bindings: Bindings, index: int) -> Enqueue:
        addresses = {name: self._memory.view(view, index).address for name, view in bindings}
        axes = sizes_of(self._subgraphs[subgraph], bindings)
        return self._runs.step(subgraph, addresses, axes)

    def _warp(self, work: Warp, index: int) -> Enqueue:
        batch, _, height, width = work.warped.shape
        views = (work.previous, work.flow, work.mask, work.warped)
        previous, flow, mask, warped = (self._memory.view(v, index).address for v in views)
        return self._submit(launch.warp_by_flow(previous, flow, mask, warped, batch, height, width))

    def _put(self, target: View, values: tuple[int, ...], index: int) -> Enqueue:
        buffer = self._memory.inside(target, index)
        if not any(values):
            return lambda stream, slots: buffer.fill(0, stream=stream)
        filled = np.empty(target.shape, self._specs[target.buffer].dtype)
        filled[...] = np.array(values)
        return self._copy(self._memory.constant(filled), buffer)

    def _submit(self, what: Launch) -> Enqueue:
        put = prepared(self._kernels, what)
        return lambda stream, slots: put(stream)

    def _half(self, view: View) -> bool:
        return self._specs[view.buffer].dtype == np.float16

    def _copy(self, source: Buffer, target: Buffer) -> Enqueue:
        return lambda stream, slots: source.copy_to(target, stream=stream)

    def _recall(self, state: Outside, target: Buffer) -> Enqueue:
        places, row = self._memory.places(state), state.row
        return lambda stream, slots: places[slots[row]].copy_to(target, stream=stream)

    def _keep(self, source: Buffer, state: Outside) -> Enqueue:
        places, row = self._memory.places(state), state.row
        return lambda stream, slots: source.copy_to(places[slots[row]], stream=stream)

    def _shift(self, older: Outside, newer: Outside) -> Enqueue:
        """Within one face's state."""
        sources, targets = self._memory.places(older), self._memory.places(newer)
        row, to = older.row, newer.row
        return lambda stream, slots: sources[slots[row]].copy_to(targets[slots[to]], stream=stream)


def sizes_of(spec: SubgraphSpec, bindings: Bindings) -> dict[str, int]:
    """Sizes of a subgraph's free axes, read off the shapes that it is bound to."""
    shapes = {name: view.shape for name, view in bindings}
    return {
        axis: size
        for tensor in (*spec.inputs, *spec.outputs)
        for axis, size in zip(tensor.shape, shapes[tensor.name], strict=True)
        if isinstance(axis, str)
    }
