"""Floating-point work of an ONNX graph, node by node and by type."""

from __future__ import annotations

import ast
import math
import operator
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import onnx
from onnx import TensorProto

Shape = tuple[int, ...]

TYPE_NAMES: dict[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
}


def gflop_by_type(model: onnx.ModelProto, axes: Mapping[str, int]) -> dict[str, float]:
    """GFLOP of convolutions and matrix products by the type they compute in.

    `axes` sizes the free axes; a multiply-accumulate counts as 2, all other nodes as nothing.
    """
    total: dict[str, float] = defaultdict(float)
    for _, kind, flop in node_flops(model, axes):
        total[kind] += flop
    return {kind: flop / 1e9 for kind, flop in sorted(total.items())}


def node_flops(model: onnx.ModelProto, axes: Mapping[str, int]) -> list[tuple[str, str, float]]:
    """(node name, type, FLOP) of each convolution and matrix product, in whatever operator."""
    shapes, types = shapes_and_types(model.graph, axes)
    found = []
    for node in model.graph.node:
        if node.op_type not in PRODUCTS:
            continue
        inputs = [shapes[name] for name in node.input if name]
        flop = 2.0 * PRODUCTS[node.op_type](node, inputs, shapes[node.output[0]])
        found.append((node.name, TYPE_NAMES[types[node.output[0]]], flop))
    return found


def _conv(_: onnx.NodeProto, inputs: Sequence[Shape], output: Shape) -> int:
    """Each output is a sum over a group's channels and the kernel."""
    return math.prod(output) * math.prod(inputs[1][1:])


def _conv_transpose(_: onnx.NodeProto, inputs: Sequence[Shape], output: Shape) -> int:
    """Each input is spread over a group's output channels and the kernel."""
    return math.prod(inputs[0]) * math.prod(inputs[1][1:])


def _matmul(_: onnx.NodeProto, inputs: Sequence[Shape], output: Shape) -> int:
    return math.prod(output) * inputs[0][-1]


def _gemm(node: onnx.NodeProto, inputs: Sequence[Shape], output: Shape) -> int:
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return math.prod(output) * inputs[0][0 if transposed else 1]


def _einsum(node: onnx.NodeProto, inputs: Sequence[Shape], output: Shape) -> int:
    """As one product of all operands at once: the size of every letter, once."""
    equation = next(a.s.decode() for a in node.attribute if a.name == "equation")
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    if "." in equation:
        raise ValueError(f"{node.name}: einsum {equation!r} hides axes behind an ellipsis")
    sizes = {
        letter: size
        for term, shape in zip(terms, inputs, strict=True)
        for letter, size in zip(term, shape, strict=True)
    }
    return math.prod(sizes.values())


def _attention(_: onnx.NodeProto, inputs: Sequence[Shape], output: Shape) -> int:
    """Scores and their product with the values; heads in an axis of their own or side by side."""
    return inputs[1][-2] * (math.prod(inputs[0]) + math.prod(output))


PRODUCTS: dict[str, Callable[[onnx.NodeProto, Sequence[Shape], Shape], int]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Einsum": _einsum,
    "Attention": _attention,
}


def shapes_and_types(
    graph: onnx.GraphProto, axes: Mapping[str, int]
) -> tuple[dict[str, Shape], dict[str, int]]:
    """Shape and TensorProto type of every value of a graph, its free axes sized by `axes`."""
    shapes: dict[str, Shape] = {}
    types: dict[str, int] = {}
    for value in (*graph.value_info, *graph.input, *graph.output):
        tensor = value.type.tensor_type
        shapes[value.name] = tuple(
            axis_size(dim.dim_param, axes) if dim.dim_param else dim.dim_value
            for dim in tensor.shape.dim
        )
        types[value.name] = tensor.elem_type
    for constant in graph.initializer:
        shapes[constant.name], types[constant.name] = tuple(constant.dims), constant.data_type
    return shapes, types


OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}


def axis_size(expression: str, axes: Mapping[str, int]) -> int:
    """Value of an exporter's expression for an axis, such as `2*faces` or `frames - 1`."""

    def value(node: ast.expr) -> int:
        if isinstance(node, ast.Name):
            return axes[node.id]
        if isinstance(node, ast.Constant):
            return int(node.value)  # type: ignore[arg-type]
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
            return int(OPERATIONS[type(node.op)](value(node.left), value(node.right)))
        raise ValueError(f"axis {expression!r} is no sum or product of free axes")

    return value(ast.parse(expression, mode="eval").body)
