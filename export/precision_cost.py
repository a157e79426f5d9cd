"""Floating-point work of an ONNX graph, node by node and by type."""

from __future__ import annotations

import ast
import math
import operator
from collections import defaultdict
from collections.abc import Mapping

import onnx
from onnx import TensorProto

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
    """(node name, type, FLOP) of each convolution and matrix product."""
    shapes, types = _shapes_and_types(model.graph, axes)
    found = []
    for node in model.graph.node:
        if node.op_type not in ("Conv", "MatMul"):
            continue
        left, right = (shapes[name] for name in node.input[:2])
        inner = math.prod(right[1:]) if node.op_type == "Conv" else left[-1]
        flop = 2.0 * math.prod(shapes[node.output[0]]) * inner
        found.append((node.name, TYPE_NAMES[types[node.output[0]]], flop))
    return found


def _shapes_and_types(
    graph: onnx.GraphProto, axes: Mapping[str, int]
) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    shapes: dict[str, tuple[int, ...]] = {}
    types: dict[str, int] = {}
    for value in (*graph.value_info, *graph.input, *graph.output):
        tensor = value.type.tensor_type
        shapes[value.name] = tuple(
            _size(dim.dim_param, axes) if dim.dim_param else dim.dim_value
            for dim in tensor.shape.dim
        )
        types[value.name] = tensor.elem_type
    for constant in graph.initializer:
        shapes[constant.name] = tuple(constant.dims)
    return shapes, types


OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}


def _size(expression: str, axes: Mapping[str, int]) -> int:
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
