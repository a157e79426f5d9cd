"""A half-precision graph as a float32 one in which every half result is really rounded.

CPU kernels compute half nodes in float32, and ONNX Runtime hands float32 on between neighbouring
half nodes: Conv(x 1000) -> Conv(x 0.001) on 100 gives 100.06 there, where a card, which stores the
result in between, gives infinity. Here every node computes in float32 and each half result goes
through a cast to half and back. Sums inside a node stay float32, as on tensor cores; what a card
fuses it does not store, so that this rounds rather more often than a card does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from keeprt.export.precision.cost import PRODUCTS
from keeprt.export.precision.typed_graph import MOVES

FLOAT = TensorProto.FLOAT
HALVES = {TensorProto.FLOAT16: "float16", TensorProto.BFLOAT16: "bfloat16"}
# Nodes whose results are values that they read, or zero, or a sign turned: nothing to round.
EXACT = {*MOVES, "Relu", "Neg", "Abs", "Max", "Min", "MaxPool", "TopK"}
# Veltkamp's splitting constant: 24 bits of float32's significand less the 11 of TF32.
TF32_SPLIT = float(2**13 + 1)


def store_half(
    model: onnx.ModelProto, *, tf32: bool = False, wide_borders: bool = False
) -> onnx.ModelProto:
    """A strongly typed graph rewritten so that float32 kernels store what half precision stores.

    Tensors keep their names, border tensors their types. With `tf32`, convolutions and products of
    the float32 islands read their operands with TF32's 11 bits of significand. With `wide_borders`
    half inputs and outputs are float32 tensors of rounded values: NumPy has no bfloat16.
    """
    return _Storage(model, tf32, wide_borders).run()


class _Storage:
    """One pass over the nodes in order."""

    def __init__(self, model: onnx.ModelProto, tf32: bool, wide_borders: bool) -> None:
        self.model, self.tf32, self.wide = onnx.ModelProto(), tf32, wide_borders
        self.model.CopyFrom(model)
        self.graph = self.model.graph
        values = (*self.graph.value_info, *self.graph.input, *self.graph.output)
        self.types = {value.name: value.type.tensor_type.elem_type for value in values}
        self.outputs = set() if wide_borders else {value.name for value in self.graph.output}
        self.inside: dict[str, str] = {}  # border tensors in half, by their float32 names inside
        self.shortened: dict[str, str] = {}
        self.nodes: list[onnx.NodeProto] = []

    def run(self) -> onnx.ModelProto:
        nodes = list(self.graph.node)
        self._widen_constants()
        for value in self.graph.input:
            kind = value.type.tensor_type.elem_type
            if kind in HALVES:
                self._border(value.name)
                if self.wide:
                    self._store(value.name, self.inside[value.name], kind)
                else:
                    self._cast(value.name, self.inside[value.name], FLOAT)
        for node in nodes:
            self._add(node)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        borders = (*self.graph.input, *self.graph.output) if self.wide else ()
        for value in (*self.graph.value_info, *borders):
            if value.type.tensor_type.elem_type in HALVES:
                value.type.tensor_type.elem_type = FLOAT
        return self.model

    def _add(self, node: onnx.NodeProto) -> None:
        half = next((self.types[n] for n in node.output if self.types.get(n) in HALVES), None)
        for slot, name in enumerate(node.input):
            node.input[slot] = self.inside.get(name, name)
        if node.op_type == "Cast":
            self._add_cast(node, half)
            return
        if half is None:
            if self.tf32 and node.op_type in PRODUCTS:
                self._shorten(node.input, node)
            self.nodes.append(node)
            return
        results = [(slot, n) for slot, n in enumerate(node.output) if self.types.get(n) in HALVES]
        for slot, name in results:
            if node.op_type not in EXACT or name in self.outputs:
                node.output[slot] = f"{name}/computed"
        self.nodes.append(node)
        for slot, name in results:
            if node.output[slot] != name:
                self._store(node.output[slot], name, half)

    def _add_cast(self, node: onnx.NodeProto, half: int | None) -> None:
        source, target = node.input[0], node.output[0]
        if half is not None:
            self._store(source, target, half)
        elif self.types.get(source, FLOAT) in HALVES or source in self.inside.values():
            self.nodes.append(helper.make_node("Identity", [source], [target], node.name))
        else:
            self.nodes.append(node)

    def _store(self, source: str, name: str, half: int) -> None:
        """`name` as `source` rounded; an output stays half, and is read inside as float32."""
        stored = name if name in self.outputs else f"{name}/stored"
        self._cast(source, stored, half)
        if name in self.outputs:
            self._border(name)
        self._cast(stored, self.inside.get(name, name), FLOAT)

    def _border(self, name: str) -> None:
        self.inside[name] = f"{name}/wide"

    def _cast(self, source: str, target: str, kind: int) -> None:
        self.nodes.append(helper.make_node("Cast", [source], [target], f"{target}/cast", to=kind))

    def _widen_constants(self) -> None:
        for tensor in self.graph.initializer:
            if tensor.data_type in HALVES:
                self.types[tensor.name] = FLOAT
                values = numpy_helper.to_array(tensor).astype(np.float32)
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}

    def _shorten(self, names: Iterable[str], node: onnx.NodeProto) -> None:
        """Lets a node read its float32 operands in TF32: x (2^13 + 1) less what that adds to x."""
        for slot, name in enumerate(list(names)[:2]):
            if name not in self.shortened:
                self.shortened[name] = self._short(name)
            node.input[slot] = self.shortened[name]

    def _short(self, name: str) -> str:
        short = f"{name}/tf32"
        if name in self.constants:
            values = numpy_helper.to_array(self.constants[name])
            self.graph.initializer.append(numpy_helper.from_array(to_tf32(values), short))
            return short
        if "tf32/split" not in self.constants:
            split = numpy_helper.from_array(np.array(TF32_SPLIT, np.float32), "tf32/split")
            self.graph.initializer.append(split)
            self.constants["tf32/split"] = split
        for operator, inputs, output in (
            ("Mul", [name, "tf32/split"], f"{name}/scaled"),
            ("Sub", [f"{name}/scaled", name], f"{name}/rest"),
            ("Sub", [f"{name}/scaled", f"{name}/rest"], short),
        ):
            self.nodes.append(helper.make_node(operator, inputs, [output], output))
        return short


def to_tf32(values: NDArray[Any]) -> NDArray[np.float32]:
    """Float32 values with TF32's significand of 11 bits, nearest; below 2^114 in magnitude.

    Dekker, "A floating-point technique for extending the available precision" (1971).
    """
    scaled = values * np.float32(TF32_SPLIT)
    return np.asarray(scaled - (scaled - values), np.float32)


def has_half(model: onnx.ModelProto) -> bool:
    """Whether some tensor of a graph is stored in half precision."""
    graph = model.graph
    return any(value.type.tensor_type.elem_type in HALVES for value in graph.value_info) or any(
        tensor.data_type in HALVES for tensor in graph.initializer
    )
