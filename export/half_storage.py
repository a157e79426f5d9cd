"""Float32 graphs whose weights lie in the file as float16: stored so, and widened again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LEAST_VALUES = 1024


def store_as_half(model: onnx.ModelProto) -> int:
    """Turns float32 initialisers into float16 ones with a Cast behind each; returns how many.

    Only those that half precision holds exactly, so that the graph computes what it did: runtimes
    fold the casts when they load it.
    """
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < LEAST_VALUES:
            continue
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), values):
            continue
        name, stored = tensor.name, f"{tensor.name}_half"
        tensor.CopyFrom(numpy_helper.from_array(half, stored))
        casts.append(
            helper.make_node("Cast", [stored], [name], f"widen_{name}", to=TensorProto.FLOAT)
        )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return len(casts)


def load_widened(file: Path) -> onnx.ModelProto:
    """A graph with its weights as float32 constants again, for passes that look at constants."""
    model = onnx.load(file)
    graph = model.graph
    stored = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT16}
    casts = [
        node
        for node in graph.node
        if node.op_type == "Cast"
        and node.input[0] in stored
        and node.name == f"widen_{node.output[0]}"
    ]
    for cast in casts:
        values = numpy_helper.to_array(stored[cast.input[0]]).astype(np.float32)
        stored[cast.input[0]].CopyFrom(numpy_helper.from_array(values, cast.output[0]))
        graph.node.remove(cast)
    return model
