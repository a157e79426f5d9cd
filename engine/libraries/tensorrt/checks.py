"""What TensorRT parsed from a subgraph, held against the manifest before anything is built."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from keeprt.engine.bundle.specs import SubgraphSpec, TensorSpec
from keeprt.engine.errors import BackendError

# TensorRT's GridSample is wrong at some opsets, and a plugin would have to be shipped.
FORBIDDEN = {"GRID_SAMPLE", "PLUGIN", "PLUGIN_V2", "PLUGIN_V3"}
COMPUTES = {
    *("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY", "EINSUM", "NORMALIZATION", "SOFTMAX"),
    *("ACTIVATION", "ELEMENTWISE", "UNARY", "SCALE", "REDUCE", "TOPK", "POOLING", "RESIZE"),
}
HALF_TYPES = {"fp16": "HALF", "fp16-norms": "HALF", "mixed": "HALF", "bf16": "BF16"}
TENSORRT_TYPES = {
    "float32": "FLOAT",
    "float16": "HALF",
    "bfloat16": "BF16",
    "int64": "INT64",
    "bool": "BOOL",
}
REAL_TYPES = {"FLOAT", "HALF", "BF16"}


@dataclass(frozen=True)
class Layer:
    """A layer of a parsed network: kind, type of its result, and the ONNX node it came from."""

    name: str
    kind: str
    dtype: str
    node: str


def layers_of(network: Any) -> list[Layer]:
    """All layers of a parsed network."""
    return [_layer(network.get_layer(index)) for index in range(network.num_layers)]


def _layer(layer: Any) -> Layer:
    node = re.search(r"\[ONNX Layer: ([^\]]+)\]", layer.metadata or "")
    output = layer.get_output(0)
    dtype = output.dtype.name if output is not None else "NONE"
    return Layer(layer.name, layer.type.name, dtype, node.group(1) if node else "")


def count_layers(layers: Iterable[Layer]) -> dict[str, int]:
    """How many layers of each kind and type that carry real numbers, as {"SOFTMAX FLOAT": 3}."""
    counts = Counter(f"{layer.kind} {layer.dtype}" for layer in layers if layer.dtype in REAL_TYPES)
    return dict(sorted(counts.items()))


def check_network(network: Any, name: str, spec: SubgraphSpec, precision: str) -> list[Layer]:
    """Checks borders, operators and types of a parsed subgraph; returns its layers.

    Raises BackendError naming what differs from the manifest.
    """
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    outputs = [network.get_output(index) for index in range(network.num_outputs)]
    _check_border(name, "input", inputs, spec.inputs)
    _check_border(name, "output", outputs, spec.outputs)
    layers = layers_of(network)
    for layer in layers:
        if layer.kind in FORBIDDEN:
            raise BackendError(f"{name} has a {layer.kind} layer ({layer.name}); export again")
    _check_types(name, layers, spec, precision)
    return layers


def _check_border(name: str, way: str, tensors: list[Any], specs: tuple[TensorSpec, ...]) -> None:
    expected = {
        spec.name: (
            TENSORRT_TYPES[spec.dtype],
            tuple(-1 if isinstance(axis, str) else axis for axis in spec.shape),
        )
        for spec in specs
    }
    found = {tensor.name: (tensor.dtype.name, tuple(tensor.shape)) for tensor in tensors}
    if expected != found:
        odd = sorted(set(expected.items()) ^ set(found.items()))[0][0]
        raise BackendError(
            f"{name}: {way} {odd} is {found.get(odd)} in the graph, "
            f"{expected.get(odd)} in the manifest; export again"
        )


def _check_types(name: str, layers: list[Layer], spec: SubgraphSpec, precision: str) -> None:
    half = HALF_TYPES.get(precision)
    allowed = {node for nodes in spec.float32_nodes.values() for node in nodes}
    for layer in layers:
        if layer.kind not in COMPUTES or layer.dtype not in REAL_TYPES:
            continue
        expected = "FLOAT" if half is None or layer.node in allowed else half
        if layer.dtype != expected:
            raise BackendError(
                f"{name}: {layer.kind} {layer.node or layer.name} computes in {layer.dtype}, "
                f"the manifest says {expected}; export again"
            )
