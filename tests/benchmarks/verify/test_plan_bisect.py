"""The search inside of what is fused: the walk by itself, on ONNX Runtime, and plans built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import onnx
import pytest
from onnx import helper

from keeprt.benchmarks.verify import command
from keeprt.benchmarks.verify.conclusion import Outputs
from keeprt.benchmarks.verify.judging.judge import Criterion, Verdict
from keeprt.benchmarks.verify.judging.thresholds import load_thresholds
from keeprt.benchmarks.verify.measuring.marked import (
    ExactGraph,
    Opener,
    PlanOpener,
    inner_tensors,
    marked_bundle,
)
from keeprt.benchmarks.verify.measuring.plan_bisect import bisect_plan, layer_with
from keeprt.benchmarks.verify.measuring.plan_walk import (
    Flow,
    Walk,
    Walked,
    flow_of,
    nodes_between,
    spread,
)
from keeprt.benchmarks.verify.subject import PlansOnHost
from keeprt.engine.bundle.load import Bundle, load_bundle
from keeprt.engine.errors import BackendError
from keeprt.engine.libraries.onnxruntime.sessions import OnnxRuntimeBackend
from keeprt.engine.libraries.tensorrt.plan_store import Profile
from keeprt.engine.libraries.tensorrt.run import TensorRtBackend
from keeprt.export.model import Keep
from tests.benchmarks.verify.conftest import measured

LIMIT = 1e-3
FP32 = load_thresholds("fp32")


def chain(length: int) -> Flow:
    names = [f"t{n}" for n in range(length)]
    return Flow({names[0]: frozenset()} | {b: frozenset({a}) for a, b in pairwise(names)})


class Looker:
    """Errors of a made library in which everything from one tensor on is wrong; outputs are the
    last tensor. With `fused_with` the error is there only while that tensor is not looked at."""

    def __init__(self, flow: Flow, wrong: str, fused_with: str = "") -> None:
        self.flow, self.wrong, self.fused_with = flow, wrong, fused_with
        self.looks: list[tuple[str, ...]] = []

    def __call__(self, names: Sequence[str]) -> dict[str, float]:
        self.looks.append(tuple(names))
        healed = self.fused_with in names
        last = list(self.flow.made_of)[-1]
        return {
            name: 1.0
            if not healed and (name == self.wrong or self.wrong in self.flow.before[name])
            else 1e-6
            for name in {*names, last}
        }


@pytest.mark.parametrize("wrong", [0, 1, 7, 63, 98, 99])
def test_the_walk_finds_the_first_of_a_hundred_in_a_few_looks(wrong: int) -> None:
    look = Looker(chain(100), f"t{wrong}")
    found = Walk(look.flow, look, LIMIT).first()
    assert (found.tensor, found.found) == (f"t{wrong}", True)
    assert found.made_of == ((f"t{wrong - 1}",) if wrong else ())
    assert found.looks == len(look.looks) <= 6
    assert max(map(len, look.looks)) <= 8, "more tensors kept than the search needs"


def test_what_departs_on_a_branch_is_found_though_others_were_trusted() -> None:
    """a -> b -> d, a -> c -> d: the wrong one is c, and b, between them in order, agrees."""
    made_of = {"a": (), "c": ("a",), "b": ("a",), "d": ("b", "c"), "e": ("d",)}
    look = Looker(Flow({name: frozenset(of) for name, of in made_of.items()}), "c")
    found = Walk(look.flow, look, LIMIT).first()
    assert (found.tensor, found.made_of) == ("c", ("a",))


def test_what_was_only_trusted_is_looked_at_before_anything_is_named() -> None:
    """x departs, twenty tensors after it agree by chance, and what they and x make departs."""
    healed = [f"g{n}" for n in range(20)]
    made_of = {"x": frozenset[str](), "g0": frozenset({"x"})}
    made_of |= {b: frozenset({a}) for a, b in pairwise(healed)} | {"b": frozenset({"x", "g19"})}
    errors = dict.fromkeys(made_of, 0.0) | {"x": 1.0, "b": 1.0}
    found = Walk(Flow(made_of), lambda names: {n: errors[n] for n in {*names, "b"}}, LIMIT).first()
    assert (found.tensor, found.made_of) == ("x", ())


def test_what_goes_away_when_it_is_looked_at_is_said_to_be_fused() -> None:
    look = Looker(chain(20), "t12", fused_with="t11")
    found = Walk(look.flow, look, LIMIT).first()
    assert found.found and found.hidden_by == ("t11",)
    assert found.tensor in ("t12", "t13", "t14")


def test_nothing_departs_where_no_output_does() -> None:
    found = Walk(chain(5), lambda names: {"t4": 1e-5}, LIMIT).first()
    assert found == Walked("t4", 1e-5, False)


def test_looks_are_spread_and_dependences_pass_through_what_cannot_be_seen() -> None:
    assert spread(list("abcdefg"), 1) == ["d"]
    assert spread(list("abcdefghij"), 3) == ["c", "e", "h"]
    assert spread(list("abc"), 3) == list("abc")
    nodes = [helper.make_node("Relu", [i], [o], name=f"n{o}") for i, o in pairwise(["x", *"abcd"])]
    model = helper.make_model(helper.make_graph(nodes, "g", [], []))
    assert flow_of(model, ["a", "d"]).made_of == {"a": frozenset(), "d": frozenset({"a"})}
    assert [node.name for node in nodes_between(model, "d", ["a"])] == ["nb", "nc", "nd"]


def test_layers_of_a_plan_are_found_by_the_nodes_in_them() -> None:
    """In the form that TensorRT's inspector documents; no plan was asked on a card."""
    layers = {
        "Layers": [
            {"Name": "conv1", "Metadata": "[ONNX Layer: node_conv2d]"},
            {
                "Name": "conv2 + relu",
                "Metadata": "[ONNX Layer: node_conv2d_1]\x1e[ONNX Layer: relu]",
            },
        ]
    }
    assert layer_with(layers, "relu") == layer_with(layers, "node_conv2d_1") == "conv2 + relu"
    assert layer_with(layers, "node_conv2d") == "conv1" and layer_with(layers, "add") == ""
    assert layer_with({"Layers": ["conv1"]}, "conv1") == ""


@pytest.mark.slow
@pytest.mark.parametrize("subgraph", ["flow_features", "decoder"])
def test_a_changed_weight_is_found_in_the_library_as_it_runs(
    broken: Callable[[str], tuple[Path, str]], tiny: Keep, tiny_bundle: Path, subgraph: str
) -> None:
    """A real departure, through ONNX Runtime with all of its fusions."""
    folder, node = broken(subgraph)
    run = measured(folder, tiny, 2)
    _, inputs, _ = run.worst_inputs[subgraph]

    def found_in(path: Path):
        how = (tiny, subgraph, inputs, FP32.bisect_relative_l2)
        opener = lambda bundle: OnnxRuntimeBackend(bundle, threads=1)  # noqa: E731
        return bisect_plan(load_bundle(path), *how, opener, threads=1)

    found = found_in(folder)
    assert found.found and found.nodes[0].startswith(f"{node} ("), found.statement()
    assert found.made_of and found.looks < 12
    assert f"{subgraph}: run as it is, the first fused layer that departs makes" in (
        found.statement()
    )
    right = found_in(tiny_bundle)
    assert not right.found and right.looks == 1 and "no output departs" in right.statement()


def fusing_wrongly(inner: str, made: str) -> Opener:
    """ONNX Runtime behind a made optimiser that computes `made` wrongly, unless `inner`, which
    goes into it, is an output and cannot be fused away."""

    def opener(bundle: Bundle) -> OnnxRuntimeBackend:
        (name,) = bundle.subgraphs
        model = onnx.load(bundle.file(name))
        if inner not in {value.name for value in model.graph.output}:
            nodes = list(model.graph.node)
            (place,) = (n for n, node in enumerate(nodes) if made in node.output)
            nodes[place].output[0] = "right"
            nodes.insert(place + 1, helper.make_node("Tanh", ["right"], [made]))
            del model.graph.node[:]
            model.graph.node.extend(nodes)
            onnx.save(model, bundle.file(name))
        return OnnxRuntimeBackend(bundle, threads=1)

    return opener


@pytest.mark.slow
def test_what_is_wrong_only_where_it_is_fused_is_told_so(tiny: Keep, tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    model = onnx.load(bundle.file("flow_features"))
    add = [node for node in model.graph.node if node.op_type == "Add"][2]
    inner, made = add.input[0], add.output[0]
    size = bundle.subgraphs["flow_features"].inputs[0].sized(faces=1)
    inputs = {"face": np.random.default_rng(0).uniform(-1, 1, size).astype(np.float32)}
    opener = fusing_wrongly(inner, made)
    found = bisect_plan(bundle, tiny, "flow_features", inputs, 1e-4, opener, threads=1)
    assert (found.tensor, found.hidden_by) == (made, [inner])
    assert "wrong only where it is fused" in found.statement()


@pytest.mark.slow
def test_where_no_layer_departs_by_itself_the_library_is_searched(
    tiny: Keep, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = measured(tiny_bundle, tiny, 2)
    model = onnx.load(run.bundle.file("flow_features"))
    add = [node for node in model.graph.node if node.op_type == "Add"][2]
    made = fusing_wrongly(add.input[0], add.output[0])
    monkeypatch.setattr(command, "open_backend", lambda bundle, *how: made(bundle))
    request = Mock(backend="onnxruntime", threads=1)
    limits = replace(FP32, bisect_relative_l2=1e-4)
    prepared = command.Prepared(request, Outputs(), run.bundle, tiny, run.result, limits, None, run)
    failed = Verdict(
        [Criterion("flow_features.features", "relative L2", 1.0, 1e-4, True, False)], True
    )
    by_itself, fused = command.bisect_failures(prepared, failed)
    assert "no layer departs" in by_itself and "only where it is fused" in fused
    assert [entry["statement"] for entry in run.result.bisected] == [by_itself, fused]


def test_plans_are_searched_by_plans_of_the_same_sizes(tiny_bundle: Path) -> None:
    profile = Profile(frames=(2, 4, 4))
    plans = PlansOnHost(Mock(spec=TensorRtBackend, profile=profile))
    request = Mock(spec=command.Request, backend="tensorrt", device=1)
    assert command._opener(request, plans) == PlanOpener("tensorrt", profile, 1)


def test_a_marked_graph_gives_what_is_inside_and_keeps_its_own_outputs(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    model = onnx.load(bundle.file("flow_matching"))
    names = list(inner_tensors(model))[::40]
    assert any("*" in str(axis) for name in names for axis in inner_tensors(model)[name].shape)
    spec = bundle.subgraphs["flow_matching"]
    inputs = {t.name: np.ones(t.sized(faces=1), np.float32) for t in spec.inputs}
    values = ExactGraph(model, inputs, threads=1).values(names)
    assert list(values) == ["flow", "mask", *names]
    for name in names:
        assert values[name].shape == inner_tensors(model)[name].sized(faces=1)


@pytest.fixture
def rtx() -> object:
    return pytest.importorskip("tensorrt_rtx", reason="needs keeprt[rtx]")


@pytest.mark.slow
@pytest.mark.parametrize("subgraph", ["flow_features", "flow_matching", "gain_net", "decoder"])
def test_plans_are_built_with_what_is_marked_as_outputs(
    rtx: object, tiny_bundle: Path, tmp_path: Path, subgraph: str
) -> None:
    """By the real builder, for a card that is not here; its check holds the network's outputs
    against those marked. That the plan runs has not been seen."""
    bundle = load_bundle(tiny_bundle)
    inner = list(inner_tensors(onnx.load(bundle.file(subgraph))))
    names = spread(inner, 7)
    marked = marked_bundle(bundle, subgraph, names, tmp_path)
    (made,) = PlanOpener("rtx", Profile(), targets=("sm89",)).build(marked)
    assert made.file.stat().st_size > 0 and ".sm89." in made.file.name
    wrong = replace(marked.subgraphs[subgraph], outputs=(*marked.subgraphs[subgraph].outputs[:-1],))
    other = replace(marked, manifest=replace(marked.manifest, subgraphs={subgraph: wrong}))
    with pytest.raises(BackendError, match=r"output .* is .* in the graph, None in the manifest"):
        PlanOpener("rtx", Profile(), targets=("sm86",)).build(other)
