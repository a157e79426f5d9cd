"""What a manifest says of a subgraph: its file, and the tensors that cross its border."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keeprt.engine.errors import BackendError

FREE_AXES = ["faces", "frames", "selected"]
DTYPES = ("float32", "float16", "bfloat16", "int64", "bool")

# Bytes of one value of each type that crosses a border.
DTYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "bool": 1}

#: What NumPy makes of bfloat16, which it lacks: two bytes to be moved and never computed on.
BFLOAT16 = np.dtype([("bfloat16", "V2")])

Axis = int | str


@dataclass(frozen=True)
class TensorSpec:
    """One tensor that crosses a subgraph's border; an axis given by a word is free."""

    name: str
    dtype: str
    shape: tuple[Axis, ...]
    meaning: str

    def sized(self, **axes: int) -> tuple[int, ...]:
        """The shape with its free axes filled in."""
        return tuple(axes[axis] if isinstance(axis, str) else axis for axis in self.shape)


@dataclass(frozen=True)
class SubgraphSpec:
    """A subgraph's file and the tensors that go in and out, in the graph's order.

    `gflop` is the work of one frame of one face (a gain's window of 8) by the type computed in;
    `float32_nodes` names, by island, the nodes that a half-precision graph keeps in float32.
    """

    file: str
    sha256: str
    size_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    gflop: dict[str, float] = field(default_factory=dict)
    float32_nodes: dict[str, list[str]] = field(default_factory=dict)

    def input(self, name: str) -> TensorSpec:
        """The input of that name. Raises KeyError."""
        return next_named(self.inputs, name)

    def output(self, name: str) -> TensorSpec:
        """The output of that name. Raises KeyError."""
        return next_named(self.outputs, name)


def next_named(specs: tuple[TensorSpec, ...], name: str) -> TensorSpec:
    """The spec of that name. Raises KeyError."""
    for spec in specs:
        if spec.name == name:
            return spec
    raise KeyError(name)


def numpy_dtype(dtype: str) -> np.dtype[Any]:
    """NumPy's type for a manifest's, to compute in. Raises BackendError for bfloat16."""
    if dtype == "bfloat16":
        raise BackendError("NumPy has no bfloat16: this bundle runs on a card only")
    return np.dtype(dtype)


def stored_dtype(dtype: str) -> np.dtype[Any]:
    """The type that a buffer has in memory: NumPy's, or `BFLOAT16`."""
    return BFLOAT16 if dtype == "bfloat16" else np.dtype(dtype)


def type_name(dtype: np.dtype[Any]) -> str:
    """A manifest's word for the type of a buffer."""
    return "bfloat16" if dtype == BFLOAT16 else str(dtype)
