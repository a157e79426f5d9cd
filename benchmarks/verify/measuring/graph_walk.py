"""Runs an ONNX graph a few nodes at a time, so that every tensor inside can be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from keeprt.export.precision.stored import has_half

Array = NDArray[Any]

NODES_AT_ONCE = 8  # their outputs are held together: half a gigabyte at full size
HALF_AT_ONCE = 1  # ONNX Runtime keeps float32 between neighbouring half nodes, and hides overflow


@dataclass(frozen=True)
class Made:
    """One tensor and the node that made it."""

    node: onnx.NodeProto
    name: str
    value: Array


class GraphWalk:
    """One run of a graph, node by node in the graph's order and without the library's fusions.

    Only tensors that later nodes read are carried along, so memory stays that of a run.
    """

    def __init__(self, model: onnx.ModelProto, threads: int | None = None) -> None:
        self._model, self._nodes = model, list(model.graph.node)
        self._at_once = HALF_AT_ONCE if has_half(model) else NODES_AT_ONCE
        self.weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self.names = {name for node in self._nodes for name in node.output if name}
        self._last_use = {
            name: index for index, node in enumerate(self._nodes) for name in node.input
        }
        self._options = onnxruntime.SessionOptions()
        self._options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._options.intra_op_num_threads = threads or 0
        self._options.log_severity_level = 3

    def run(self, inputs: Mapping[str, Array]) -> Iterator[Made]:
        """All tensors in the order in which they are made, from inputs by name."""
        live = dict(inputs)
        for first in range(0, len(self._nodes), self._at_once):
            nodes = self._nodes[first : first + self._at_once]
            made = self._run_nodes(nodes, live)
            live |= made
            for node in nodes:
                for name in node.output:
                    if name:
                        yield Made(node, name, made[name])
            end = first + len(nodes)
            live = {n: v for n, v in live.items() if self._last_use.get(n, -1) >= end}

    def _run_nodes(
        self, nodes: list[onnx.NodeProto], live: Mapping[str, Array]
    ) -> dict[str, Array]:
        outputs = [name for node in nodes for name in node.output if name]
        read = {name for node in nodes for name in node.input if name}
        given = {name: live[name] for name in read if name in live}
        graph = helper.make_graph(
            nodes,
            "part",
            [
                helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
                )
                for name, value in given.items()
            ],
            [onnx.ValueInfoProto(name=name) for name in outputs],
            [tensor for name, tensor in self.weights.items() if name in read],
        )
        model = helper.make_model(
            graph,
            opset_imports=self._model.opset_import,
            ir_version=self._model.ir_version,
        )
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), self._options, providers=["CPUExecutionProvider"]
        )
        feed = {name: np.ascontiguousarray(value) for name, value in given.items()}
        return dict(zip(outputs, session.run(outputs, feed), strict=True))
