"""Turns a float32 graph into a strongly typed one: half everywhere but in the islands."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx
from onnx import TensorProto, helper, numpy_helper

from keeprt.engine.errors import BundleError
from keeprt.export.precision.islands import Island, island_of
from keeprt.export.precision.weights import HalfWeights, to_half

FLOAT = TensorProto.FLOAT
ONNX_TYPES: dict[str, int] = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
}
# Nodes that only move values: they take the type that costs the fewest and the smallest casts.
MOVES = {
    *("Concat", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Slice"),
    *("Split", "Squeeze", "Transpose", "Unsqueeze", "Where"),
}


@dataclass
class Typed:
    """What the conversion of a graph decided, and what it did to the weights."""

    float32_nodes: dict[str, list[str]] = field(default_factory=dict)  # by island
    weights: list[HalfWeights] = field(default_factory=list)
    casts: int = 0


def convert(
    model: onnx.ModelProto,
    subgraph: str,
    half: str,
    *,
    border_types: dict[str, str],
    islands: tuple[Island, ...],
    shapes_only: bool = False,
) -> Typed:
    """Converts a float32 graph in place to `half`, "float16" or "bfloat16".

    Every node computes in half but those of `islands`; casts stand where types meet, weights are
    stored in the type that reads them. `border_types` says what type each real input and output
    has. With `shapes_only` the weights have no values, which is enough to count a graph's work.
    Raises BundleError where a weight does not fit into half.
    """
    return _Conversion(model, subgraph, half, border_types, islands, shapes_only).run()


class _Conversion:
    """One pass over the nodes in order; tensors keep their names, casts get names of their own."""

    def __init__(
        self,
        model: onnx.ModelProto,
        subgraph: str,
        half: str,
        border_types: dict[str, str],
        islands: tuple[Island, ...],
        shapes_only: bool,
    ) -> None:
        self.graph, self.subgraph, self.shapes_only = model.graph, subgraph, shapes_only
        self.half, self.border = ONNX_TYPES[half], border_types
        self.real = _real_tensors(model.graph)
        self.weights = {t.name: t for t in self.graph.initializer if t.data_type == FLOAT}
        self.result = Typed()
        self.computes = self._choose(islands)
        self.types: dict[str, int] = {
            value.name: ONNX_TYPES[border_types[value.name]]
            for value in self.graph.input
            if value.name in self.real
        }
        self.made: dict[tuple[str, int], str] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.halved: list[TensorProto] = []
        self.copies: list[tuple[str, str]] = []  # a cast's result, and what has the same shape

    def run(self) -> Typed:
        for index, node in enumerate(list(self.graph.node)):
            wanted = self.computes[index]
            for slot, name in enumerate(node.input):
                if name in self.real:
                    node.input[slot] = self._as(name, wanted)
            self.nodes.append(node)
            self.types.update({name: wanted for name in node.output if name in self.real})
        self._finish_border()
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        self.graph.initializer.extend(self.halved)
        self._note_types()
        return self.result

    def _choose(self, islands: tuple[Island, ...]) -> list[int]:
        """The type that each node computes in."""
        nodes = list(self.graph.node)
        chosen: list[int | None] = []
        for node in nodes:
            if node.op_type in MOVES or not self._is_real(node):
                chosen.append(None)
                continue
            island = island_of(node, self.subgraph, islands)
            if island is not None:
                self.result.float32_nodes.setdefault(island, []).append(node.name)
            chosen.append(FLOAT if island else self.half)
        return _settle_moves(nodes, chosen, self.real, self.half, self.border)

    def _is_real(self, node: onnx.NodeProto) -> bool:
        return any(name in self.real for name in (*node.input, *node.output))

    def _as(self, name: str, wanted: int) -> str:
        """Name of a tensor in the wanted type, made once by a cast or as a weight of its own."""
        if name in self.weights:
            return name if wanted == FLOAT else self._half_weight(name)
        if self.types[name] == wanted:
            return name
        key = (name, wanted)
        if key not in self.made:
            self.made[key] = f"{name}_{_suffix(wanted)}"
            self._cast(name, self.made[key], wanted)
        return self.made[key]

    def _half_weight(self, name: str) -> str:
        key = (name, self.half)
        if key not in self.made:
            self.made[key] = f"{name}_{_suffix(self.half)}"
            if self.shapes_only:
                dims = self.weights[name].dims
                self.halved.append(TensorProto(name=self.made[key], dims=dims, data_type=self.half))
                return self.made[key]
            values = numpy_helper.to_array(self.weights[name])
            tensor, rounding = to_half(values, name, self.half)
            if rounding.overflowing:
                raise BundleError(
                    f"{self.subgraph}: {rounding.overflowing} values of {name} exceed the range "
                    f"of {_suffix(self.half)} (largest {rounding.largest:.3g}); export bf16 or fp32"
                )
            tensor.name = self.made[key]
            self.result.weights.append(rounding)
            self.halved.append(tensor)
        return self.made[key]

    def _cast(self, source: str, target: str, wanted: int) -> None:
        node = helper.make_node("Cast", [source], [target], f"cast_{target}", to=wanted)
        self.nodes.append(node)
        self.types[target] = wanted
        self.copies.append((target, source))
        self.result.casts += 1

    def _note_types(self) -> None:
        """Keeps the exporter's notes on shapes true: types as they are now, casts included."""
        graph = self.graph
        notes = {v.name: v for v in (*graph.value_info, *graph.input, *graph.output)}
        for target, source in self.copies:
            if target not in notes:
                note = graph.value_info.add()
                note.CopyFrom(notes[source])
                note.name = target
                notes[target] = note
        for value in graph.value_info:
            if value.name in self.types:
                value.type.tensor_type.elem_type = self.types[value.name]

    def _finish_border(self) -> None:
        for value in (*self.graph.input, *self.graph.output):
            if value.name in self.real:
                value.type.tensor_type.elem_type = ONNX_TYPES[self.border[value.name]]
        for value in self.graph.output:
            if value.name not in self.real:
                continue
            wanted = ONNX_TYPES[self.border[value.name]]
            if self.types[value.name] != wanted:
                inner = f"{value.name}_{_suffix(self.types[value.name])}"
                _rename(self.nodes, value.name, inner)
                self.types[inner] = self.types[value.name]
                self.copies.append((inner, value.name))
                self._cast(inner, value.name, wanted)


def _settle_moves(
    nodes: list[onnx.NodeProto],
    chosen: list[int | None],
    real: set[str],
    half: int,
    border: dict[str, str],
) -> list[int]:
    """Gives moving nodes float32 where all that they read and all that reads them is float32."""
    makes: dict[str, bool] = {name: kind == "float32" for name, kind in border.items()}
    from_float: list[bool] = []
    for node, kind in zip(nodes, chosen, strict=True):
        sources = [makes[n] for n in node.input if n in real and n in makes]
        is_float = (bool(sources) and all(sources)) if kind is None else kind == FLOAT
        from_float.append(is_float)
        makes.update({name: is_float for name in node.output if name in real})
    # An output's border counts as a reader of its type.
    reads: dict[str, bool] = {}
    settled: list[int] = [half] * len(nodes)
    outputs = {name: kind == "float32" for name, kind in border.items()}
    for index in range(len(nodes) - 1, -1, -1):
        node, kind = nodes[index], chosen[index]
        wanted = [
            reads.get(name, True) and outputs.get(name, True)
            for name in node.output
            if name in real
        ]
        is_float = kind == FLOAT if kind is not None else from_float[index] and all(wanted)
        settled[index] = FLOAT if is_float else half
        for name in node.input:
            if name in real:
                reads[name] = reads.get(name, True) and is_float
    return settled


def _real_tensors(graph: onnx.GraphProto) -> set[str]:
    """Names of all float32 tensors; the exporter has noted the type of each."""
    values = {value.name: value for value in (*graph.value_info, *graph.input, *graph.output)}
    for node in graph.node:
        if untyped := [name for name in node.output if name and name not in values]:
            raise BundleError(f"{node.name} makes {untyped[0]!r}, whose type the graph lacks")
    real = {name for name, v in values.items() if v.type.tensor_type.elem_type == FLOAT}
    return real | {tensor.name for tensor in graph.initializer if tensor.data_type == FLOAT}


def _rename(nodes: list[onnx.NodeProto], old: str, new: str) -> None:
    for node in nodes:
        for slots in (node.input, node.output):
            for slot, name in enumerate(slots):
                if name == old:
                    slots[slot] = new


def _suffix(kind: int) -> str:
    return next(name for name, number in ONNX_TYPES.items() if number == kind)
