"""Every exported subgraph under ONNX Runtime against the PyTorch module that it was made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from keeprt.engine.bundle.load import load_bundle
from keeprt.export.model import FrameResult, Keep
from keeprt.export.subgraphs import Subgraph, split
from tests.goldens import pictures_512, relative_l2, to_clip, to_tensor
from tests.networks import faces

LIMIT = 1e-4
Values = dict[str, NDArray[Any]]
GRAPHS = ["lq_encoder", "hq_encoder", "gain_net", "flow_features", "flow_matching", "decoder"]


def graph_of(network: Keep, name: str) -> Subgraph:
    return next(graph for graph in split(network) if graph.name == name)


def session(bundle: Path, name: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(bundle / f"{name}.onnx", providers=["CPUExecutionProvider"])


def in_torch(graph: Subgraph, inputs: Values) -> Values:
    with torch.no_grad():
        outputs = graph.module(*(torch.from_numpy(inputs[spec.name]) for spec in graph.inputs))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return {spec.name: o.numpy() for spec, o in zip(graph.outputs, outputs, strict=True)}


def in_onnx(model: onnxruntime.InferenceSession, graph: Subgraph, inputs: Values) -> Values:
    names = [spec.name for spec in graph.outputs]
    return dict(zip(names, model.run(names, inputs), strict=True))


def expect_same(actual: Values, expected: Values, limit: float = LIMIT) -> None:
    for name, value in expected.items():
        assert actual[name].shape == value.shape, name
        assert actual[name].dtype == value.dtype, name
        if name == "codes":
            assert np.array_equal(actual[name], value)
        else:
            assert relative_l2(actual[name], value) <= limit, name


def observed(network: Keep, count: int) -> tuple[Tensor, Values]:
    """Faces, and what the encoder makes of them: inputs as the runtime would feed them."""
    clip = to_clip(faces(count, network.config.face_size))[0]
    return clip, in_torch(graph_of(network, "lq_encoder"), {"face": clip.numpy()})


def natural_inputs(network: Keep, name: str, count: int) -> Values:
    """Inputs of a subgraph from pictures, `count` faces."""
    clip, values = observed(network, count)
    random = np.random.default_rng(count)
    if name in ("lq_encoder", "flow_features"):
        return {"face": clip.numpy()}
    if name == "hq_encoder":
        return {"warped": clip.flip(-1).numpy()}
    if name == "flow_matching":
        features = in_torch(graph_of(network, "flow_features"), {"face": clip.numpy()})["features"]
        return {"current": features, "previous": np.roll(features, 1, axis=3)}
    graph = graph_of(network, name)
    values["is_first"] = np.arange(count) % 2 == 1
    for spec in graph.inputs:
        shape = spec.sized(faces=count)
        if spec.name == "gain":
            values["gain"] = random.random(shape, np.float32)
        elif spec.name == "predicted":
            values["predicted"] = values["latent"][::-1].copy()
        elif spec.name.startswith("previous_"):
            values[spec.name] = random.standard_normal(shape).astype(np.float32)
    return {spec.name: values[spec.name] for spec in graph.inputs}


# The fast tests export one network.
SLOW = pytest.mark.slow


@pytest.fixture(
    params=["", *(pytest.param(name, marks=SLOW) for name in ("_without_kalman", "_without_cfa"))]
)
def pair(request: pytest.FixtureRequest) -> tuple[Keep, Path]:
    """A network and its bundle."""
    network = request.getfixturevalue(f"tiny{request.param}")
    return network, request.getfixturevalue(f"tiny_bundle{request.param}")


@pytest.mark.slow
def test_every_batch_of_faces(pair: tuple[Keep, Path]) -> None:
    network, bundle = pair
    whole = network.config.kalman and network.config.cfa
    for graph in split(network):
        if graph.name == "gain_net" or not (whole or graph.name == "decoder"):
            continue
        model = session(bundle, graph.name)
        for count in (1, 2, 3, 4):
            inputs = natural_inputs(network, graph.name, count)
            expect_same(in_onnx(model, graph, inputs), in_torch(graph, inputs))


@pytest.mark.slow
@pytest.mark.parametrize("frames", [2, 3, 5, 8, 20])
def test_every_length_of_the_gains_window(tiny: Keep, tiny_bundle: Path, frames: int) -> None:
    graph, model = graph_of(tiny, "gain_net"), session(tiny_bundle, "gain_net")
    _, values = observed(tiny, frames)
    latents = values["latent"][None]
    for count, selected in ((1, [frames - 1]), (2, [*range(frames)]), (3, [frames - 1, 0])):
        window = np.concatenate([np.roll(latents, shift, axis=1) for shift in range(count)])
        inputs = {"latents": window, "selected": np.array(selected, np.int64)}
        expected = in_torch(graph, inputs)
        expect_same(in_onnx(model, graph, inputs), expected)
        assert expected["gains"].shape[:2] == (count, len(selected))


def test_the_decoder_ignores_what_a_first_frame_has_not(tiny: Keep, tiny_bundle: Path) -> None:
    """Selection, not multiplication by zero: NaN in the unused rows must not come through."""
    graph, model = graph_of(tiny, "decoder"), session(tiny_bundle, "decoder")
    inputs = natural_inputs(tiny, "decoder", 2)
    inputs["is_first"] = np.array([True, False])
    clean = in_onnx(model, graph, inputs)
    for name in ("predicted", "gain", *(n for n in inputs if n.startswith("previous_"))):
        inputs[name] = inputs[name].copy()
        inputs[name][0] = np.nan
    poisoned = in_onnx(model, graph, inputs)
    for name, value in clean.items():
        assert np.array_equal(poisoned[name], value), name


def test_a_first_frame_is_the_networks_first_frame(tiny: Keep, tiny_bundle: Path) -> None:
    graph, model = graph_of(tiny, "decoder"), session(tiny_bundle, "decoder")
    inputs = natural_inputs(tiny, "decoder", 1)
    inputs["is_first"] = np.array([True])
    clip = to_clip(faces(1, tiny.config.face_size))
    with torch.no_grad():
        (result,) = tiny.run(clip)
    actual = in_onnx(model, graph, inputs)
    assert np.array_equal(actual["codes"], result.codes.numpy())
    assert relative_l2(actual["restored"], result.face) <= LIMIT
    for scale, cache in result.state.caches.items():
        assert relative_l2(actual[f"cache_{scale}"], cache) <= LIMIT


def test_the_margin_is_the_gap_of_the_two_best_logits(tiny: Keep, tiny_bundle: Path) -> None:
    graph, model = graph_of(tiny, "decoder"), session(tiny_bundle, "decoder")
    inputs = natural_inputs(tiny, "decoder", 1)
    inputs["is_first"] = np.array([True])
    logits = tiny.lookup(torch.from_numpy(inputs["latent"]))
    best = logits.sort(dim=-1).values[..., -2:]
    margin = in_onnx(model, graph, inputs)["margin"]
    np.testing.assert_allclose(margin, (best[..., 1] - best[..., 0]).numpy(), atol=1e-4)


def test_graphs_hold_only_plain_operators(pair: tuple[Keep, Path]) -> None:
    """No custom domains, no leftovers of tracing, weights inside the file."""
    network, bundle = pair
    for graph in split(network):
        model = onnx.load(bundle / f"{graph.name}.onnx", load_external_data=False)
        onnx.checker.check_model(model, full_check=True)
        assert {entry.domain for entry in model.opset_import} == {""}
        assert not [t.name for t in model.graph.initializer if t.data_location]
        kinds = {node.op_type for node in model.graph.node}
        assert not kinds & {"GridSample", "Dropout", "Loop", "If", "Scan"}
        if graph.name in ("lq_encoder", "hq_encoder"):
            assert "Pad" not in kinds


def test_borders_are_the_manifests(pair: tuple[Keep, Path]) -> None:
    network, path = pair
    bundle = load_bundle(path)
    assert {graph.name for graph in split(network)} == set(bundle.subgraphs)
    for graph in split(network):
        spec = bundle.subgraphs[graph.name]
        assert (spec.inputs, spec.outputs) == (graph.inputs, graph.outputs)
        assert all(tensor.meaning for tensor in (*spec.inputs, *spec.outputs))


@SLOW
def test_ablations_have_fewer_subgraphs_and_tensors(
    tiny_without_kalman: Keep, tiny_without_cfa: Keep
) -> None:
    assert [graph.name for graph in split(tiny_without_kalman)] == ["lq_encoder", "decoder"]
    names = {spec.name for spec in graph_of(tiny_without_kalman, "decoder").inputs}
    assert not names & {"predicted", "gain"}
    decoder = graph_of(tiny_without_cfa, "decoder")
    assert not [s.name for s in (*decoder.inputs, *decoder.outputs) if "cache" in s.name]


# Full size, on what the golden frames lead to


def golden_inputs(network: Keep, run: list[FrameResult]) -> dict[str, Values]:
    from keeprt.export.model.gmflow import backward_warp

    current, previous = (to_tensor(picture) for picture in pictures_512()[2:0:-1])
    features = [
        in_torch(graph_of(network, "flow_features"), {"face": face.numpy()})["features"]
        for face in (current, previous)
    ]
    flow, predicted, gain = run[2].flow, run[2].predicted, run[2].gain
    assert flow is not None
    assert predicted is not None
    assert gain is not None
    values = in_torch(graph_of(network, "lq_encoder"), {"face": current.numpy()})
    values |= {"predicted": predicted.numpy(), "gain": gain.numpy()}
    values |= {f"previous_cache_{s}": c.numpy() for s, c in run[1].state.caches.items()}
    values["is_first"] = np.array([False])
    return {
        "lq_encoder": {"face": current.numpy()},
        "hq_encoder": {"warped": backward_warp(run[1].state.face, flow).numpy()},
        "gain_net": {
            "latents": torch.stack([r.latent for r in run], dim=1).numpy(),
            "selected": np.arange(4),
        },
        "flow_features": {"face": current.numpy()},
        "flow_matching": {"current": features[0], "previous": features[1]},
        "decoder": values,
    }


@pytest.fixture(scope="module")
def full_inputs(reference: Keep, reference_run: list[FrameResult]) -> dict[str, Values]:
    return golden_inputs(reference, reference_run)


@pytest.mark.slow
@pytest.mark.parametrize("name", GRAPHS)
def test_full_size(
    reference: Keep, full_bundle: Path, full_inputs: dict[str, Values], name: str
) -> None:
    graph, inputs = graph_of(reference, name), full_inputs[name]
    inputs = {spec.name: inputs[spec.name] for spec in graph.inputs}
    expect_same(in_onnx(session(full_bundle, name), graph, inputs), in_torch(graph, inputs))
