"""The named buffers of a frame, allocated once; subgraphs that share a name share the memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.backends.onnxruntime import numpy_dtype
from keeprt.engine.bundle import Bundle

# Where a tensor lives when its name in the subgraph is not the buffer's.
ALIASES = {
    ("flow_matching", "current"): "features",
    ("flow_matching", "previous"): "previous_features",
    ("gain_net", "latents"): "window",
    ("gain_net", "gains"): "gain",
}

Array = NDArray[Any]


class Buffers:
    """Flat memory per name, viewed at the shape that the current number of faces needs."""

    def __init__(self, bundle: Bundle, *, faces: int, frames: int, selected: int) -> None:
        """Allocates every tensor that crosses a border, at the largest sizes of the free axes."""
        self._subgraphs = bundle.subgraphs
        self._flat: dict[str, Array] = {}
        self._row_shapes: dict[str, tuple[int, ...]] = {}
        axes = {"faces": faces, "frames": frames, "selected": selected}
        for name, graph in bundle.subgraphs.items():
            for spec in (*graph.inputs, *graph.outputs):
                buffer = ALIASES.get((name, spec.name), spec.name)
                self._reserve(buffer, math.prod(spec.sized(**axes)), numpy_dtype(spec.dtype))
                if spec.shape[0] == "faces" and not any(isinstance(a, str) for a in spec.shape[1:]):
                    self._row_shapes[buffer] = spec.sized(faces=1)[1:]
        if bundle.has_kalman:
            # The one buffer that only the runtime reads: what the warp takes its pixels from.
            self._row_shapes["previous_restored"] = self._row_shapes["restored"]
            size = faces * math.prod(self._row_shapes["restored"])
            self._reserve("previous_restored", size, np.dtype(np.float32))

    @property
    def size_bytes(self) -> int:
        """Memory that the buffers take."""
        return sum(array.nbytes for array in self._flat.values())

    def rows(self, name: str, faces: int) -> Array:
        """The first `faces` rows of a buffer with one row per face; no copy."""
        return self._view(name, (faces, *self._row_shapes[name]))

    def bound(self, subgraph: str, **axes: int) -> tuple[dict[str, Array], dict[str, Array]]:
        """Inputs and outputs of a subgraph, as views at the given sizes of the free axes."""
        graph = self._subgraphs[subgraph]
        inputs, outputs = (
            {
                spec.name: self._view(
                    ALIASES.get((subgraph, spec.name), spec.name), spec.sized(**axes)
                )
                for spec in specs
            }
            for specs in (graph.inputs, graph.outputs)
        )
        return inputs, outputs

    def _reserve(self, buffer: str, size: int, dtype: np.dtype[Any]) -> None:
        # Zeros, not garbage: rows of first frames are computed on and then selected away.
        if buffer not in self._flat or self._flat[buffer].size < size:
            self._flat[buffer] = np.zeros(size, dtype)

    def _view(self, name: str, shape: tuple[int, ...]) -> Array:
        return self._flat[name][: math.prod(shape)].reshape(shape)
