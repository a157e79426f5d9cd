"""Operations on the card: each bound once to addresses, then put on a stream or into a capture.

Subgraphs run through `Engines` (TensorRT, ONNX Runtime), the warp and the input's conversion
through kernels of ours, the rest are copies and fills of the driver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import numpy as np

from keeprt.engine.backends.cuda_memory import CudaMemory, Span
from keeprt.engine.buffers import BufferSpec
from keeprt.engine.bundle import SubgraphSpec
from keeprt.engine.operations import (
    Bindings,
    Copy,
    GivePicture,
    Infer,
    Operation,
    Place,
    Put,
    TakePicture,
    View,
    Warp,
    Work,
)
from keeprt.kernels import launch
from keeprt.kernels.frame import FrameFormat
from keeprt.kernels.loader import submit
from keeprt.kernels.placement import place_face

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


class Staging:
    """Fixed places of a frame's pictures: on the card before conversion, and on the host after."""

    def __init__(self, memory: CudaMemory, size: int, faces: int, tokens: int) -> None:
        """RGB uint8 (size, size, 3) in, float32 (3, size, size) and int64 (tokens,) out; two frames
        are in flight."""
        self.raw = [memory.take(size * size * 3) for _ in range(faces)]
        self.sent = [
            [memory.pinned((size, size, 3), np.uint8) for _ in range(faces)] for _ in range(2)
        ]
        self.results = [
            [memory.pinned((3, size, size), np.float32) for _ in range(faces)] for _ in range(2)
        ]
        self.codes = [memory.pinned((faces, tokens), np.int64) for _ in range(2)]
        self.format = FrameFormat("rgb24", size, size)
        self.record = memory.constant(np.atleast_1d(self.format.record()).view(np.uint8))
        whole = place_face(np.eye(2, 3), size, size, size)
        self.placement = memory.constant(np.atleast_1d(whole).view(np.uint8))


class CudaDevice:
    """Binds operations to one block of device memory."""

    def __init__(
        self,
        memory: CudaMemory,
        staging: Staging,
        engines: Engines,
        kernels: dict[str, Kernel],
        specs: Mapping[str, BufferSpec],
        subgraphs: Mapping[str, SubgraphSpec],
    ) -> None:
        """Everything is made before; this only reads addresses."""
        self._memory, self._staging = memory, staging
        self._engines, self._kernels = engines, kernels
        self._specs, self._subgraphs = specs, subgraphs

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
            case TakePicture(taken, target):
                return self._convert(taken.row, target, index)
            case GivePicture(source, given):
                result, _ = self._staging.results[index % 2][given.row]
                return self._copy(self._memory.buffer(self._memory.view(source, index)), result)

    def _give(self, buffer: str, index: int, faces: int) -> Enqueue:
        """What the caller reads afterwards beside the pictures: the first rows of a buffer."""
        _, pinned = self._staging.codes[index % 2]
        part = self._memory.pinned_part(self._staging.codes[index % 2], faces)
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
        what = launch.warp_by_flow(previous, flow, mask, warped, batch, height, width)
        return lambda queue: submit(self._kernels, queue, what)

    def _convert(self, row: int, target: View, index: int) -> Enqueue:
        staging = self._staging
        what = launch.crop_align(
            (int(staging.raw[row].handle),),
            staging.format,
            int(staging.record.handle),
            int(staging.placement.handle),
            self._memory.view(target, index).address,
            faces=1,
            size=staging.format.width,
            half=self._specs[target.buffer].dtype == np.float16,
        )
        return lambda queue: submit(self._kernels, queue, what)

    def _put(self, target: View, values: tuple[int, ...], index: int) -> Enqueue:
        buffer = self._memory.buffer(self._memory.view(target, index))
        if not any(values):
            return lambda queue: buffer.fill(0, stream=queue)
        filled = np.empty(target.shape, self._specs[target.buffer].dtype)
        filled[...] = np.array(values)
        return self._copy(self._memory.constant(filled), buffer)

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
