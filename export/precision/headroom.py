"""How near half-precision tensors come to float16's largest number, and what follows from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from keeprt.engine.errors import BundleError
from keeprt.export.precision.islands import Island
from keeprt.export.precision.stored import EXACT, HALVES

LARGEST_HALF = 65504.0
# A tensor must stay this many times below: what was seen on a clip is not the most there is.
LEAST_HEADROOM = 8.0
LARGEST = "largest"  # the output of a graph that measures


@dataclass(frozen=True)
class HalfTensor:
    """A tensor that a graph stores in float16: the node of the float32 graph that makes it, the
    module it stands in, and the largest magnitude seen."""

    subgraph: str
    tensor: str
    node: str
    scope: str
    largest: float

    @property
    def headroom(self) -> float:
        """How many times larger it could be; 0 where it was not finite in float32."""
        if not np.isfinite(self.largest):
            return 0.0
        return LARGEST_HALF / self.largest if self.largest else float("inf")

    def statement(self) -> str:
        """In words."""
        return (
            f"{self.subgraph}: {self.node} in module {self.scope or '(top)'} makes "
            f"{self.tensor!r}, {self.largest:.4g} at most: head-room {self.headroom:.2g} to "
            f"float16's {LARGEST_HALF:.0f}"
        )


def half_tensors(typed: onnx.ModelProto, exact: onnx.ModelProto) -> set[str]:
    """Names, in the float32 graph, of all that the typed one stores in half.

    What a node only moves is named once, where it was made.
    """
    known = {name for node in exact.graph.node for name in node.output}
    known |= {value.name for value in exact.graph.input}
    kinds = {
        value.name: value.type.tensor_type.elem_type
        for value in (*typed.graph.value_info, *typed.graph.input, *typed.graph.output)
    }
    found = set()  # inputs in half are some other graph's outputs
    for node in typed.graph.node:
        for name in node.output:
            if kinds.get(name) in HALVES and node.op_type not in EXACT:
                found.add(node.input[0] if node.op_type == "Cast" else name)
            elif node.op_type == "Cast" and kinds.get(node.input[0]) in HALVES:
                found.add(name)  # an output that is float32 at the border and half inside
    return found & known


def with_largest(exact: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """The float32 graph with one output LARGEST, (n,) float32: the magnitudes of these tensors."""
    names = sorted(names)
    model = onnx.ModelProto()
    model.CopyFrom(exact)
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "largest/one"))
    for index, name in enumerate(names):
        steps = [f"largest/{index}/{step}" for step in ("abs", "max", "one")]
        graph.node.append(helper.make_node("Abs", [name], [steps[0]], steps[0]))
        graph.node.append(
            helper.make_node("ReduceMax", [steps[0]], [steps[1]], steps[1], keepdims=0)
        )
        graph.node.append(
            helper.make_node("Reshape", [steps[1], "largest/one"], [steps[2]], steps[2])
        )
    parts = [f"largest/{index}/one" for index in range(len(names))]
    graph.node.append(helper.make_node("Concat", parts, [LARGEST], LARGEST, axis=0))
    graph.output.append(helper.make_tensor_value_info(LARGEST, TensorProto.FLOAT, [len(names)]))
    return model


def tell(exact: onnx.ModelProto, subgraph: str, largest: Mapping[str, float]) -> list[HalfTensor]:
    """What was measured, with the nodes that make the tensors; the least head-room first."""
    makers = {name: node for node in exact.graph.node for name in node.output}
    told = []
    for name, value in largest.items():
        node = makers.get(name)
        scope, maker = "", "its input"
        if node is not None:
            scope = next((e.value for e in node.metadata_props if e.key == "scope"), "")
            maker = node.name
        told.append(HalfTensor(subgraph, name, maker, scope, value))
    return sorted(told, key=lambda tensor: tensor.headroom)


def headroom_islands(
    exact: Mapping[str, onnx.ModelProto],
    tensors: Iterable[HalfTensor],
    half_borders: Iterable[str],
    least: float = LEAST_HEADROOM,
) -> tuple[Island, ...]:
    """One island a subgraph round the tensors whose head-room is below `least`: makers, readers.

    Raises BundleError, naming the tensor, where it crosses a border in half or is not finite.
    """
    low: dict[str, list[HalfTensor]] = defaultdict(list)
    for tensor in tensors:
        if tensor.headroom < least:
            low[tensor.subgraph].append(tensor)
    borders = set(half_borders)
    return tuple(
        Island(
            "headroom",
            name,
            nodes=frozenset(
                node for tensor in found for node in _round(exact[name], tensor, borders)
            ),
        )
        for name, found in low.items()
    )


def _round(exact: onnx.ModelProto, tensor: HalfTensor, borders: set[str]) -> set[str]:
    """The node that makes a tensor and all that read it, through nodes that only pass it on."""
    if not tensor.headroom:
        raise BundleError(f"{tensor.statement()}; it is not finite even in float32")
    nodes, waiting = {tensor.node}, [tensor.tensor]
    while waiting:
        name = waiting.pop()
        if name in borders:
            raise BundleError(
                f"{tensor.statement()}, and it crosses from subgraph to subgraph in half as "
                f"{name!r}; export with --precision fp32 or bf16"
            )
        for node in exact.graph.node:
            if name in node.input and node.name not in nodes:
                nodes.add(node.name)
                if node.op_type in EXACT:
                    waiting.extend(node.output)
    return nodes
