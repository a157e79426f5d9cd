"""The weights in a bundle's graphs against the reference's own, number by number.

An error of the output cannot show a weight that is 0.1 % off: it is smaller than rounding is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from keeprt.engine.bundle.load import Bundle
from keeprt.export.graph_forms import phased
from keeprt.export.model import Keep
from keeprt.export.subgraphs import split

Array = NDArray[Any]
# An exporter transposes weights and names them anew: such a one is the reference's weight of the
# same numbers, or of nearly the same, which is then one that was changed.
NEARLY = 0.1
MATRIX = 2  # axes; vectors keep their names
SMALLEST = 2  # numbers; a scalar constant is no weight


@dataclass(frozen=True)
class WeightsCheck:
    """Tensors of one subgraph: how many were compared, their share of its weights' bytes, and
    those that differ with the relative L2 of the difference, the largest first."""

    subgraph: str
    compared: int
    share: float
    different: dict[str, float] = field(default_factory=dict)

    def statement(self) -> str:
        """In words."""
        told = f"{self.subgraph}: {self.compared} weights ({self.share:.0%} of the bytes)"
        if not self.different:
            return f"{told} are the reference's"
        worst = ", ".join(f"{name} by {error:.1e}" for name, error in self.different.items())
        return f"{told}, of which {len(self.different)} differ: {worst}"[:400]


def check_weights(bundle: Bundle, network: Keep) -> list[WeightsCheck]:
    """Every subgraph's weights; those in half precision against the reference's rounded to it."""
    modules = {graph.name: graph.module for graph in split(phased(network))}
    checks = []
    for name in bundle.subgraphs:
        # An exporter names weights from the module that it was given on.
        module = modules[name]
        tensors = dict(module.named_buffers()) | module.state_dict()
        ours = {f"module.{k}": v.numpy() for k, v in tensors.items()}
        ours |= {k.removeprefix("module."): v for k, v in ours.items()}
        checks.append(_check(name, onnx.load(bundle.file(name)), ours))
    return checks


def _check(subgraph: str, model: onnx.ModelProto, exact: Mapping[str, Array]) -> WeightsCheck:
    shapes: dict[tuple[int, ...], list[Array]] = {}
    for value in {id(v): v for v in exact.values()}.values():
        for form in {value.shape: value, value.T.shape: value.T}.values():
            shapes.setdefault(form.shape, []).append(form)
        if value.ndim == 2 and value.shape[0] == value.shape[1]:
            shapes[value.shape].append(value.T)
    compared, seen, total = 0, 0, 0
    different: dict[str, float] = {}
    for name, value in _weights(model):
        total += value.nbytes
        same_name = exact.get(name)
        if same_name is not None and same_name.shape == value.shape:
            error = _error(value, same_name)
        elif value.ndim < MATRIX:
            continue
        else:
            errors = (_error(value, one) for one in shapes.get(value.shape, ()))
            error = min(errors, default=np.inf)
            if error > NEARLY:
                continue  # made by the exporter from others: a mask, a table, a product
        compared, seen = compared + 1, seen + value.nbytes
        if error:
            different[name] = error
    worst = dict(sorted(different.items(), key=lambda item: -item[1]))
    return WeightsCheck(subgraph, compared, seen / total if total else 0.0, worst)


def _weights(model: onnx.ModelProto) -> Iterator[tuple[str, Array]]:
    for tensor in model.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.size >= SMALLEST and value.dtype.kind in "fV":  # bfloat16 is a void of ml_dtypes
            yield tensor.name, value


def _error(value: Array, exact: Array) -> float:
    """Relative L2 of the difference to the reference rounded to the same type."""
    with np.errstate(over="ignore"):
        rounded = exact.astype(value.dtype).astype(np.float32)
    given = value.astype(np.float32)
    if np.array_equal(given, rounded):
        return 0.0
    size = float(np.linalg.norm(rounded.astype(np.float64)))
    difference = float(np.linalg.norm(given.astype(np.float64) - rounded))
    return difference / size if size else np.inf
