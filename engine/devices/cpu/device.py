"""Operations on the CPU: each bound once to arrays and an inference session, then only called."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from keeprt.engine.frame.arena import ALIGNMENT
from keeprt.engine.frame.buffers import Array, BufferSpec
from keeprt.engine.frame.layout import Layout
from keeprt.engine.frame.operations import (
    Copy,
    Crop,
    GivePicture,
    Infer,
    Operand,
    Operation,
    Outside,
    Paste,
    Put,
    TakePicture,
    View,
    Warp,
    Work,
)
from keeprt.engine.frame.pixels import normalise, quantise
from keeprt.engine.frame.video_list import planes_in
from keeprt.kernels.crop_align import crop_align
from keeprt.kernels.paste_back import paste_back
from keeprt.kernels.placement import PLACEMENT_DTYPE
from keeprt.kernels.warp_by_flow import warp_by_flow

Run = Callable[[], None]


class Backend(Protocol):
    """An inference library on host memory."""

    def bind(self, subgraph: str, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> Run:
        """One subgraph on fixed arrays, to be called as often as wanted."""


class CpuDevice:
    """The arena in host memory, and the lists of the caller's arrays by name."""

    def __init__(self, layout: Layout, specs: Mapping[str, BufferSpec], backend: Backend) -> None:
        """Allocates the arena; nothing is allocated after it but what callers are given."""
        self.layout = layout
        self.outside: dict[str, Sequence[Array]] = {}
        self._specs = specs
        self._backend = backend
        memory = np.zeros(layout.arena.size_bytes + ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        self.memory: Array = memory[start : start + layout.arena.size_bytes]

    def bind(self, operation: Operation, index: int) -> Run:
        """The operation as frame number `index` runs it."""
        runs = [self._bound(work, index) for work in operation.work if not _is_empty(work)]

        def run() -> None:
            for step in runs:
                step()

        return runs[0] if len(runs) == 1 else run

    def synchronise(self) -> None:
        """Waits for the device; on the CPU every operation is over when its call returns."""

    def close(self) -> None:
        """Lets the arena, the callers' arrays and the inference library go."""
        self.outside.clear()
        self.memory = np.empty(0, np.uint8)
        del self._backend

    def array(self, view: View, index: int = 0) -> Array:
        """The view's memory as an array."""
        spec = self._specs[view.buffer]
        name = self.layout.physical(view.buffer, index)
        start = self.layout.arena.offsets[name] + view.offset * spec.dtype.itemsize
        size = math.prod(view.shape) * spec.dtype.itemsize
        return self.memory[start : start + size].view(spec.dtype).reshape(view.shape)

    def _bound(self, work: Work, index: int) -> Run:
        match work:
            case Infer(subgraph, inputs, outputs):
                return self._backend.bind(
                    subgraph,
                    {name: self.array(view, index) for name, view in inputs},
                    {name: self.array(view, index) for name, view in outputs},
                )
            case Warp():
                views = (work.previous, work.flow, work.mask, work.warped)
                arrays = [self.array(view, index) for view in views]
                return lambda: _discard(warp_by_flow(*arrays))
            case Crop():
                return self._crop(work, index)
            case Paste():
                return self._paste(work, index)
            case Copy(source, target):
                return self._copy(source, target, index)
            case Put(target, values):
                array, constant = self.array(target, index), np.array(values)
                return lambda: np.copyto(array, constant, casting="unsafe")
            case TakePicture(taken, target):
                array = self.array(target, index)
                return lambda: normalise(self.outside[taken.buffer][taken.row], array)
            case GivePicture(source, given):
                array = self.array(source, index)
                scratch = np.empty_like(array)
                return lambda: self._give(given, quantise(array, scratch))

    def _crop(self, work: Crop, index: int) -> Run:
        planes = planes_in(self.array(work.frame, index), work.format)
        placements = self.array(work.placements, index).view(PLACEMENT_DTYPE).reshape(-1)
        faces, size = self.array(work.faces, index), work.faces.shape[-1]
        return lambda: np.copyto(
            faces, crop_align(planes, work.format, placements, size, faces.dtype)
        )

    def _paste(self, work: Paste, index: int) -> Run:
        planes = planes_in(self.array(work.frame, index), work.format)
        (placement,) = self.array(work.placement, index).view(PLACEMENT_DTYPE)
        restored, crop = self.array(work.restored, index), self.array(work.crop, index)
        return lambda: paste_back(planes, work.format, placement, restored, crop)

    def _copy(self, source: Operand, target: Operand, index: int) -> Run:
        here, there = self._finder(source, index), self._finder(target, index)
        return lambda: np.copyto(there(), here(), casting="same_kind")

    def _finder(self, operand: Operand, index: int) -> Callable[[], Array]:
        if isinstance(operand, View):
            array = self.array(operand, index)
            return lambda: array
        name, row = operand.buffer, operand.row
        if operand.count is None:
            return lambda: self.outside[name][row]
        part = slice(operand.first, operand.first + operand.count)
        return lambda: self.outside[name][row][part]

    def _give(self, given: Outside, picture: Array) -> None:
        pictures: Any = self.outside[given.buffer]
        pictures[given.row] = picture


def _is_empty(work: Work) -> bool:
    return isinstance(work, Put) and 0 in work.target.shape


def _discard(_: object) -> None:
    return None
