"""What each stage of a frame has to compute and move, read from the bundle's graphs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

import onnx
from onnx import TensorProto, helper

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.bundle.specs import DTYPE_BYTES, TensorSpec
from keeprt.export.precision.cost import node_flops, shapes_and_types

# Nodes that a runtime serves by looking at the same bytes in another shape.
FREE = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Shape", "Constant"}
GATHERS = {"Gather", "Slice"}


@dataclass(frozen=True)
class StageCost:
    """Work of one call of a stage.

    `flop` by the type computed in counts convolutions and matrix products, a multiply-accumulate
    as 2. `must_move_bytes` reads every weight and input and writes every output once: no
    implementation moves less unless it keeps some in cache from the stage before.
    `unfused_bytes` is the sum over the graph's nodes, each reading and writing memory by itself.
    """

    stage: str
    flop: Mapping[str, float]
    must_move_bytes: float
    unfused_bytes: float

    @property
    def total_flop(self) -> float:
        """FLOP of all types."""
        return sum(self.flop.values())

    def times(self, factor: float) -> StageCost:
        """The cost of `factor` calls, as where a clip's gains are shared out over its frames."""
        return replace(
            self,
            flop={kind: flop * factor for kind, flop in self.flop.items()},
            must_move_bytes=self.must_move_bytes * factor,
            unfused_bytes=self.unfused_bytes * factor,
        )


def stream_costs(bundle: Bundle, faces: int, window: int) -> dict[str, StageCost]:
    """Cost of each stage of one steady frame of stream mode, for so many faces together."""
    axes = {"faces": faces, "frames": window, "selected": 1}
    return _costs(bundle, axes)


def clip_costs(bundle: Bundle, chunk: int) -> dict[str, StageCost]:
    """Mean cost of each stage of one frame in a chunk of `chunk` frames of one face.

    The first frame has no flow, no warp and no prediction; gains are taken once, of all frames.
    """
    costs = _costs(bundle, {"faces": 1, "frames": chunk, "selected": chunk})
    share = {"gain_net": 1 / chunk if chunk > 1 else 0.0}
    share |= dict.fromkeys(("flow_matching", "warp", "hq_encoder"), (chunk - 1) / chunk)
    return {stage: cost.times(share.get(stage, 1.0)) for stage, cost in costs.items()}


def _costs(bundle: Bundle, axes: Mapping[str, int]) -> dict[str, StageCost]:
    costs = {name: graph_cost(name, _skeleton(bundle, name), axes) for name in bundle.subgraphs}
    if bundle.has_kalman:
        costs["warp"] = _warp_cost(bundle, axes)
    return costs


def graph_cost(stage: str, model: onnx.ModelProto, axes: Mapping[str, int]) -> StageCost:
    """Cost of one graph at the given sizes of its free axes."""
    flop: dict[str, float] = defaultdict(float)
    for _, kind, work in node_flops(model, axes):
        flop[kind] += work
    shapes, types = shapes_and_types(model.graph, axes)
    sizes = {name: math.prod(shape) * _item_size(types[name]) for name, shape in shapes.items()}
    border = {value.name for value in (*model.graph.input, *model.graph.output)}
    weights = _weight_bytes(model.graph, sizes)
    return StageCost(
        stage,
        dict(flop),
        float(weights + sum(sizes[name] for name in border)),
        float(sum(_node_bytes(node, sizes) for node in model.graph.node)),
    )


def _weight_bytes(graph: onnx.GraphProto, sizes: Mapping[str, int]) -> int:
    """Bytes of constants; of a table that is only looked up in, just the rows taken."""
    weights = {tensor.name: sizes[tensor.name] for tensor in graph.initializer}
    looked_up: dict[str, int] = defaultdict(int)
    for node in graph.node:
        for position, name in enumerate(node.input):
            if name in weights:
                table = node.op_type in GATHERS and position == 0
                looked_up[name] += sizes[node.output[0]] if table else weights[name]
    return sum(min(size, looked_up[name]) for name, size in weights.items())


def _node_bytes(node: onnx.NodeProto, sizes: Mapping[str, int]) -> int:
    if node.op_type in FREE:
        return 0
    written = sum(sizes[name] for name in node.output if name)
    if node.op_type in GATHERS:
        return 2 * written
    return written + sum(sizes[name] for name in node.input if name)


def _warp_cost(bundle: Bundle, axes: Mapping[str, int]) -> StageCost:
    """The warp is no graph: it reads flow, mask and the last face, and writes the warped one."""
    matching, hq_encoder = bundle.subgraphs["flow_matching"], bundle.subgraphs["hq_encoder"]
    warped = hq_encoder.input("warped")
    tensors = [matching.output("flow"), matching.output("mask"), warped]
    moved = sum(_tensor_bytes(spec, axes) for spec in tensors) + _tensor_bytes(warped, axes)
    return StageCost("warp", {}, float(moved), float(moved))


def _tensor_bytes(spec: TensorSpec, axes: Mapping[str, int]) -> int:
    return math.prod(spec.sized(**axes)) * DTYPE_BYTES[spec.dtype]


def _item_size(kind: int) -> int:
    if kind == TensorProto.UNDEFINED:
        return 0
    return int(helper.tensor_dtype_to_np_dtype(kind).itemsize)


def _skeleton(bundle: Bundle, name: str) -> onnx.ModelProto:
    return onnx.load(bundle.file(name), load_external_data=False)
