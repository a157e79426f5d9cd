"""Names the first layer of a subgraph whose output departs from the reference's."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from keeprt.benchmarks.verify.measuring.errors import Array, tensor_error
from keeprt.benchmarks.verify.measuring.graph_walk import GraphWalk, Made
from keeprt.engine.bundle.load import Bundle
from keeprt.engine.bundle.specs import numpy_dtype
from keeprt.export.bundle_writer import save_onnx
from keeprt.export.graph_forms import phased
from keeprt.export.model import Keep
from keeprt.export.subgraphs import split


@dataclass(frozen=True)
class Departure:
    """A node of a subgraph's ONNX graph; `scope` is the path of its module in PyTorch.

    `relative_l2` is the error of its output `tensor` among `compared` tensors that both graphs
    have; `found` is false where none passes `limit`: then it is the node with the largest error.
    `weights` are those of its weights that differ from the reference's.
    """

    subgraph: str
    node: str
    operator: str
    scope: str
    tensor: str
    relative_l2: float
    limit: float
    compared: int
    found: bool
    weights: list[str]

    def statement(self) -> str:
        """In words."""
        where = f"{self.node} ({self.operator}) in module {self.scope or '(top)'}"
        if not self.found:
            return (
                f"{self.subgraph}: no layer departs by more than {self.limit:.1e} when nodes are "
                f"run one by one; the largest error, {self.relative_l2:.1e}, is that of {where}: "
                "look at what the inference library fuses"
            )
        weights = f"; its weights {', '.join(self.weights)} differ" if self.weights else ""
        return (
            f"{self.subgraph}: the first layer that departs is {where}, relative L2 "
            f"{self.relative_l2:.1e}{weights}"
        )


def bisect(
    bundle: Bundle,
    network: Keep,
    subgraph: str,
    inputs: dict[str, Array],
    limit: float,
    threads: int | None = None,
) -> Departure | None:
    """Runs the bundle's graph and a fresh float32 export of the reference on the same inputs.

    Both graphs come from one exporter, so that tensors correspond by name; a half-precision
    graph keeps the names and has casts besides. None where no tensor corresponds.
    """
    exact = GraphWalk(reference_graph(network, subgraph), threads)
    ours = GraphWalk(onnx.load(bundle.file(subgraph)), threads)
    spec = bundle.subgraphs[subgraph]
    cast = {t.name: inputs[t.name].astype(numpy_dtype(t.dtype)) for t in spec.inputs}

    worst: Departure | None = None
    compared = 0
    for made, reference in _pairs(ours, cast, exact, inputs):
        error = tensor_departure(made.value, reference.value)
        if error is None:
            continue
        compared += 1
        if error > limit or worst is None or error > worst.relative_l2:
            weights = _different_weights(ours, made.node, exact, reference.node)
            scopes = [e.value for e in made.node.metadata_props if e.key == "scope"]
            worst = Departure(
                subgraph,
                made.node.name,
                made.node.op_type,
                scopes[0] if scopes else "",
                made.name,
                error,
                limit,
                compared,
                error > limit,
                weights,
            )
        if error > limit:
            return worst
    return worst


def reference_graph(network: Keep, subgraph: str) -> onnx.ModelProto:
    """A fresh float32 export of one subgraph."""
    (graph,) = (graph for graph in split(phased(network)) if graph.name == subgraph)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{subgraph}.onnx"
        save_onnx(graph, file)
        return onnx.load(file)


def _pairs(
    ours: GraphWalk, our_inputs: dict[str, Array], exact: GraphWalk, inputs: dict[str, Array]
) -> Iterator[tuple[Made, Made]]:
    """Tensors of the same name, in the order of `ours`; the other graph runs along."""
    waiting: dict[str, Made] = {}
    theirs = exact.run(inputs)
    for made in ours.run(our_inputs):
        if made.name not in exact.names:
            continue
        while made.name not in waiting:
            other = next(theirs)
            if other.name in ours.names:
                waiting[other.name] = other
        yield made, waiting.pop(made.name)


def tensor_departure(value: Array, exact: Array) -> float | None:
    """Relative L2, or of other types than floats the share that differs; None of other shapes."""
    if value.shape != exact.shape or not value.size:
        return None
    if np.issubdtype(value.dtype, np.floating):
        return tensor_error(value, exact).relative_l2 if np.isfinite(exact).all() else None
    return float((value != exact).mean())


def _different_weights(
    ours: GraphWalk, node: onnx.NodeProto, exact: GraphWalk, reference: onnx.NodeProto
) -> list[str]:
    different = []
    for name, other in zip(node.input, reference.input, strict=False):
        if name in ours.weights and other in exact.weights:
            value = numpy_helper.to_array(ours.weights[name])
            expected = numpy_helper.to_array(exact.weights[other])
            if value.dtype == expected.dtype and not np.array_equal(value, expected):
                different.append(name)
    return different
