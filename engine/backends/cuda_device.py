"""Operations on the card: each bound once to addresses, then put on a stream or into a capture.

Subgraphs run through `Engines` (TensorRT, ONNX Runtime), the warp through a kernel of ours, the
rest are copies and fills of the driver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import numpy as np

from keeprt.engine.backends.cuda_memory import CudaMemory, Span
from keeprt.engine.buffers import BufferSpec
from keeprt.engine.bundle import Bundle, SubgraphSpec
from keeprt.engine.operations import (
    Bindings,
    Copy,
    Infer,
    Operation,
    Place,
    Put,
    View,
    Warp,
    Work,
)
from keeprt.kernels import launch
from keeprt.kernels.launch import Launch
from keeprt.kernels.loader import submit

if TYPE_CHECKING:
    from cuda.core import Buffer, Kernel, Stream
    from cuda.core.graph import GraphBuilder

    Queue: TypeAlias = Stream | GraphBuilder

Enqueue = Callable[["Queue"], None]
Run = Callable[[int], None]  # takes a CUstream, which may be capturing


@runtime_checkable
class Engines(Protocol):
    """Subgraphs on device memory, put on streams."""

    @property
    def captures(self) -> bool:
        """Whether a run may be captured into a CUDA graph."""

    def join(self, streams: Mapping[str, int]) -> None:
        """Called once, at start-up: the CUstream that each subgraph will be put on."""

    def bind(self, subgraph: str, addresses: Mapping[str, int], axes: Mapping[str, int]) -> Run:
        """One subgraph on device memory, to be put on its stream as often as wanted.

        `addresses` by tensor, `axes` the sizes of the free axes.
        """


class CudaDevice:
    """Binds operations to one block of device memory; what pictures need is for its subclasses."""

    def __init__(
        self,
        memory: CudaMemory,
        engines: Engines,
        kernels: dict[str, Kernel],
        specs: Mapping[str, BufferSpec],
        bundle: Bundle,
        faces: int,
    ) -> None:
        """Takes pinned memory for what leaves the card, for two frames of so many faces."""
        self._memory, self._engines, self._kernels = memory, engines, kernels
        self._specs, self._subgraphs = specs, bundle.subgraphs
        tokens = bundle.subgraphs["decoder"].output("codes").sized(faces=1)[1]
        #: Codebook indices int64 (faces, tokens) of even and of odd frames.
        self.codes = [memory.pinned((faces, tokens), np.int64) for _ in range(2)]

    def bind(self, operation: Operation, index: int, slots: Sequence[int]) -> list[Enqueue]:
        """The operation as frame number `index` runs it; row r is the face of state slot r."""
        bound = [self._bound(work, index, slots) for work in operation.work]
        bound += [self._give(buffer, index, len(slots)) for buffer in operation.also_reads]
        return [enqueue for enqueue in bound if enqueue is not None]

    def _bound(self, work: Work, index: int, slots: Sequence[int]) -> Enqueue | None:
        match work:
            case Infer(subgraph, inputs, outputs):
                return self._infer(subgraph, (*inputs, *outputs), index)
            case Warp():
                return self._warp(work, index)
            case Copy(source, target):
                here, there = (self._span(p, index, slots) for p in (source, target))
                return self._copy(self._memory.buffer(here), self._memory.buffer(there))
            case Put(target, values):
                return None if 0 in target.shape else self._put(target, values, index)
            case _:
                return self._of_pictures(work, index)

    def _of_pictures(self, work: Work, index: int) -> Enqueue:
        raise NotImplementedError(f"this device has no {type(work).__name__}")

    def _give(self, buffer: str, index: int, faces: int) -> Enqueue:
        """What the caller reads afterwards beside the pictures: the first rows of a buffer."""
        _, pinned = self.codes[index % 2]
        part = self._memory.pinned_part(self.codes[index % 2], faces)
        view = View(buffer, (faces, *pinned.shape[1:]))
        return self._copy(self._memory.buffer(self._memory.view(view, index)), part)

    def _infer(self, subgraph: str, bindings: Bindings, index: int) -> Enqueue:
        addresses = {name: self._memory.view(view, index).address for name, view in bindings}
        axes = sizes_of(self._subgraphs[subgraph], bindings)
        run = self._engines.bind(subgraph, addresses, axes)
        return lambda queue: run(handle_of(queue))

    def _warp(self, work: Warp, index: int) -> Enqueue:
        batch, _, height, width = work.warped.shape
        views = (work.previous, work.flow, work.mask, work.warped)
        previous, flow, mask, warped = (self._memory.view(v, index).address for v in views)
        return self._submit(launch.warp_by_flow(previous, flow, mask, warped, batch, height, width))

    def _put(self, target: View, values: tuple[int, ...], index: int) -> Enqueue:
        buffer = self._memory.buffer(self._memory.view(target, index))
        if not any(values):
            return lambda queue: buffer.fill(0, stream=queue)
        filled = np.empty(target.shape, self._specs[target.buffer].dtype)
        filled[...] = np.array(values)
        return self._copy(self._memory.constant(filled), buffer)

    def _submit(self, what: Launch) -> Enqueue:
        return lambda queue: submit(self._kernels, queue, what)

    def _half(self, view: View) -> bool:
        return self._specs[view.buffer].dtype == np.float16

    def _copy(self, source: Buffer, target: Buffer) -> Enqueue:
        def enqueue(queue: Queue) -> None:
            source.copy_to(target, stream=queue)

        return enqueue

    def _span(self, place: Place, index: int, slots: Sequence[int]) -> Span:
        if isinstance(place, View):
            return self._memory.view(place, index)
        return self._memory.state(place, slots[place.row])


def sizes_of(spec: SubgraphSpec, bindings: Bindings) -> dict[str, int]:
    """Sizes of a subgraph's free axes, read off the shapes that it is bound to."""
    shapes = {name: view.shape for name, view in bindings}
    return {
        axis: size
        for tensor in (*spec.inputs, *spec.outputs)
        for axis, size in zip(tensor.shape, shapes[tensor.name], strict=True)
        if isinstance(axis, str)
    }


def handle_of(queue: Queue) -> int:
    """The CUstream of a stream, or of the stream that a capture stands on."""
    _, handle = queue.__cuda_stream__()
    return int(handle)
