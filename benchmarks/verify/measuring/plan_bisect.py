"""Names the first fused layer of what is under test, a plan or a session, that departs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx

from keeprt.benchmarks.verify.measuring.bisect import reference_graph, tensor_departure
from keeprt.benchmarks.verify.measuring.marked import (
    ExactGraph,
    Opener,
    Tensors,
    inner_tensors,
    run_marked,
)
from keeprt.benchmarks.verify.measuring.plan_walk import Walk, Walked, flow_of, nodes_between
from keeprt.engine.bundle.load import Bundle
from keeprt.export.model import Keep

SHOWN_NODES = 6


@dataclass(frozen=True)
class PlanDeparture:
    """What a walk through the library under test found in one subgraph; see `Walked`.

    `nodes` are the nodes of the graph from `made_of` to `tensor`, each with its operator; `scope`
    is the module in PyTorch that the last one belongs to, `layer` the library's name of the layer
    that it is part of, empty where the library tells none.
    """

    subgraph: str
    tensor: str
    relative_l2: float
    limit: float
    found: bool
    made_of: list[str]
    nodes: list[str]
    scope: str
    hidden_by: list[str]
    looks: int
    compared: int
    layer: str = ""

    def statement(self) -> str:
        """In words."""
        if not self.found:
            return (
                f"{self.subgraph}: run as it is, no output departs by more than {self.limit:.1e}; "
                f"the largest error, {self.relative_l2:.1e}, is that of {self.tensor}"
            )
        layer = f" (layer {self.layer})" if self.layer else ""
        said = (
            f"{self.subgraph}: run as it is, the first fused layer that departs makes {self.tensor}"
            f"{layer} by {_shortened(self.nodes)} in module {self.scope or '(top)'}, relative L2 "
            f"{self.relative_l2:.1e}; "
        )
        if self.hidden_by:
            said += (
                f"once {_shortened(self.hidden_by)} is kept as an output it no longer departs: it "
                "is wrong only where it is fused with that"
            )
        elif self.made_of:
            said += f"what it is made of, {_shortened(self.made_of)}, agrees"
        else:
            said += "it is made of the subgraph's inputs alone"
        return f"{said} ({self.looks} runs, {self.compared} tensors to choose from)"


def bisect_plan(
    bundle: Bundle,
    network: Keep,
    subgraph: str,
    inputs: Tensors,
    limit: float,
    opener: Opener,
    *,
    layers: Mapping[str, Any] | None = None,
    threads: int | None = None,
) -> PlanDeparture:
    """Runs the subgraph under the library that `opener` opens, again and again with other tensors
    kept, and a fresh float32 export of the reference without any fusion.

    `layers` is what TensorRT's inspector says of the plan under test.
    """
    reference = reference_graph(network, subgraph)
    exact = ExactGraph(reference, inputs, threads)
    model = onnx.load(bundle.file(subgraph))
    known = inner_tensors(reference)
    inner = [name for name in inner_tensors(model) if name in known]
    outputs = [spec.name for spec in bundle.subgraphs[subgraph].outputs]

    def look(names: Sequence[str]) -> dict[str, float]:
        inside = [name for name in names if name in known]
        values = exact.values(inside)
        made = run_marked(bundle, subgraph, inputs, values, opener)
        errors = {name: tensor_departure(made[name], values[name]) for name in made}
        return {name: error for name, error in errors.items() if error is not None}

    walked = Walk(flow_of(model, [*inner, *outputs]), look, limit).first()
    return _departure(subgraph, model, walked, limit, len(inner), layers)


def _departure(
    subgraph: str,
    model: onnx.ModelProto,
    walked: Walked,
    limit: float,
    compared: int,
    layers: Mapping[str, Any] | None,
) -> PlanDeparture:
    nodes = nodes_between(model, walked.tensor, walked.made_of)
    last = nodes[-1]
    scopes = [entry.value for entry in last.metadata_props if entry.key == "scope"]
    return PlanDeparture(
        subgraph=subgraph,
        tensor=walked.tensor,
        relative_l2=walked.error,
        limit=limit,
        found=walked.found,
        made_of=list(walked.made_of),
        nodes=[f"{node.name} ({node.op_type})" for node in nodes],
        scope=scopes[0] if scopes else "",
        hidden_by=list(walked.hidden_by),
        looks=walked.looks,
        compared=compared,
        layer=layer_with(layers or {}, last.name),
    )


def layer_with(layers: Mapping[str, Any], node: str) -> str:
    """The name of the layer of a plan that an ONNX node went into, empty where none names it."""
    mark = f"[ONNX Layer: {node}]"
    for layer in layers.get("Layers", []):
        if isinstance(layer, dict) and mark in str(layer.get("Metadata", "")):
            return str(layer.get("Name", ""))
    return ""


def _shortened(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_NODES
    shown = ", ".join(names[-SHOWN_NODES:])
    return f"{more} nodes and {shown}" if more > 0 else shown
