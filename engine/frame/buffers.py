"""The named buffers of a frame: type and size of each, as the bundle's borders demand them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.bundle.specs import stored_dtype, type_name
from keeprt.engine.errors import BundleError
from keeprt.engine.frame.operations import Bindings, View

# Where a tensor lives when its name in the subgraph is not the buffer's.
ALIASES = {
    ("flow_matching", "current"): "features",
    ("flow_matching", "previous"): "previous_features",
    ("gain_net", "latents"): "window",
}

Array = NDArray[Any]


@dataclass(frozen=True)
class BufferSpec:
    """A buffer's type, its most elements, and for one row per face the shape of a row."""

    dtype: np.dtype[Any]
    elements: int
    row: tuple[int, ...] | None

    @property
    def size_bytes(self) -> int:
        """Bytes of the most elements."""
        return self.elements * self.dtype.itemsize


class BufferTable:
    """Every buffer of a bundle's frames, at the largest sizes of the free axes. Owns no memory."""

    def __init__(self, bundle: Bundle, *, faces: int, frames: int, selected: int) -> None:
        """For at most so many faces, frames in a gain's window, and gains at once.

        Raises BundleError where two borders share a buffer and differ in type.
        """
        self._subgraphs = bundle.subgraphs
        self._specs: dict[str, BufferSpec] = {}
        self._first: dict[str, str] = {}  # the border that each buffer was first seen at
        axes = {"faces": faces, "frames": frames, "selected": selected}
        for name, graph in bundle.subgraphs.items():
            for spec in (*graph.inputs, *graph.outputs):
                per_face = spec.shape[0] == "faces" and all(
                    isinstance(axis, int) for axis in spec.shape[1:]
                )
                row = spec.sized(faces=1)[1:] if per_face else None
                elements = math.prod(spec.sized(**axes))
                buffer = ALIASES.get((name, spec.name), spec.name)
                dtype = stored_dtype(spec.dtype)
                self._declare(buffer, BufferSpec(dtype, elements, row), f"{name}.{spec.name}")
        if bundle.has_kalman:
            # What the warp takes its pixels from; no subgraph has it.
            row = self._specs["restored"].row
            assert row is not None
            self.add_rows("previous_restored", np.float32, row, faces)

    def add_rows(self, buffer: str, dtype: DTypeLike, row: tuple[int, ...], count: int) -> None:
        """A further buffer that no subgraph has: `count` rows of one shape."""
        spec = BufferSpec(np.dtype(dtype), count * math.prod(row), row)
        self._declare(buffer, spec)

    @property
    def specs(self) -> Mapping[str, BufferSpec]:
        """The buffers by name."""
        return self._specs

    def rows(self, name: str, first: int, count: int) -> View:
        """Rows [first, first + count) of a buffer with one row per face."""
        row = self._specs[name].row
        if row is None:
            raise KeyError(name)
        return View(name, (count, *row), first * math.prod(row))

    def row(self, name: str, index: int) -> View:
        """One face's row, without the axis of faces."""
        view = self.rows(name, index, 1)
        return View(name, view.shape[1:], view.offset)

    def bound(self, subgraph: str, **axes: int) -> tuple[Bindings, Bindings]:
        """Inputs and outputs of a subgraph at the given sizes of the free axes, each from the
        start of its buffer: so few different bindings serve all frames."""
        graph = self._subgraphs[subgraph]
        inputs, outputs = (
            tuple(
                (spec.name, View(buffer, spec.sized(**axes)))
                for spec in specs
                for buffer in [ALIASES.get((subgraph, spec.name), spec.name)]
            )
            for specs in (graph.inputs, graph.outputs)
        )
        return inputs, outputs

    def _declare(self, buffer: str, spec: BufferSpec, border: str = "") -> None:
        border = border or buffer
        known = self._specs.get(buffer)
        if known is None:
            self._specs[buffer], self._first[buffer] = spec, border
            return
        if known.dtype != spec.dtype:
            raise BundleError(
                f"{self._first[buffer]} is {type_name(known.dtype)}, but {border}, which shares "
                f"its memory, is {type_name(spec.dtype)}; export again"
            )
        row, elements = known.row or spec.row, max(known.elements, spec.elements)
        self._specs[buffer] = BufferSpec(known.dtype, elements, row)
