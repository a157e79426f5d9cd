"""Graphs on a card, run on arrays in host memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from keeprt.engine.bundle.specs import DTYPE_BYTES, SubgraphSpec
from keeprt.engine.libraries.tensorrt.calls import CudaCalls
from keeprt.engine.libraries.tensorrt.graphs import GraphProfile, check_sizes

Arrays = Mapping[str, NDArray[Any]]
# Puts a graph by its name, on addresses by tensor, with the sizes of its free axes, on a stream.
Enqueue = Callable[[str, Mapping[str, int], Mapping[str, int], int], None]


class Staging:
    """Device memory of each graph for its largest sizes, taken at its first run; one run at a
    time, from any thread."""

    def __init__(
        self,
        cuda: CudaCalls,
        stream: int,
        specs: Mapping[str, SubgraphSpec],
        profile: GraphProfile,
        enqueue: Enqueue,
    ) -> None:
        self._cuda, self._stream, self._enqueue = cuda, stream, enqueue
        self._specs, self._profile = specs, profile
        self._addresses: dict[str, dict[str, int]] = {}

    def run(self, name: str, inputs: Arrays, outputs: Arrays) -> None:
        """Runs one graph and fills `outputs`. Raises UsageError for sizes outside the profile, and
        as `enqueue`."""
        spec = self._specs[name]
        axes = _axes(spec, inputs, outputs)
        check_sizes(name, spec, self._profile, axes)  # before anything is copied
        with self._cuda:
            if name not in self._addresses:
                self._addresses[name] = self.allocate(spec)
            addresses = self._addresses[name]
            for tensor, array in inputs.items():
                self._cuda.to_device(addresses[tensor], array, self._stream)
            self._enqueue(name, addresses, axes, self._stream)
            for tensor, array in outputs.items():
                self._cuda.to_host(array, addresses[tensor], self._stream)
            self._cuda.wait(self._stream)

    def allocate(self, spec: SubgraphSpec) -> dict[str, int]:
        """Device memory for a graph's tensors at their largest."""
        largest = {axis: sizes[2] for axis, sizes in self._profile.axes().items()}
        return {
            tensor.name: self._cuda.allocate(
                math.prod(tensor.sized(**largest)) * DTYPE_BYTES[tensor.dtype]
            )
            for tensor in (*spec.inputs, *spec.outputs)
        }


def _axes(spec: SubgraphSpec, inputs: Arrays, outputs: Arrays) -> dict[str, int]:
    """Sizes of the free axes, read off the arrays."""
    arrays = {**inputs, **outputs}
    return {
        axis: size
        for tensor in (*spec.inputs, *spec.outputs)
        for axis, size in zip(tensor.shape, arrays[tensor.name].shape, strict=True)
        if isinstance(axis, str)
    }
