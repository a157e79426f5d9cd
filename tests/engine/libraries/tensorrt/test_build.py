"""Plans by the real builder of TensorRT-RTX, which needs no GPU."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from unittest.mock import Mock

import onnx
import pytest

from keeprt.engine.bundle.load import Bundle, file_sha256, load_bundle
from keeprt.engine.devices.cuda.driver import Card, require_card
from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.libraries.tensorrt import build_all, flavours
from keeprt.engine.libraries.tensorrt.build_all import BuildRequest, Listener, Made, build_plans
from keeprt.engine.libraries.tensorrt.checks import COMPUTES, check_network, layers_of
from keeprt.engine.libraries.tensorrt.flavours import (
    FLAVOURS,
    Flavour,
    kept_timings,
    resolve_targets,
    use_timing_cache,
)
from keeprt.export.precision.graph_copy import convert_bundle
from tests.engine.libraries.tensorrt.plans import PROFILE, only, request

trt = pytest.importorskip("tensorrt_rtx", reason="needs keeprt[rtx]")


def parsed(bundle: Bundle, name: str, graph: bytes | None = None):
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, trt.Logger(trt.Logger.ERROR))
    assert parser.parse(graph or bundle.file(name).read_bytes())
    return builder, network, parser


def expect_built(made: list[Made], bundle: Bundle, targets: int) -> None:
    assert len(made) == targets * len(bundle.subgraphs)
    for plan in made:
        note = plan.note
        assert plan.file.stat().st_size == note.size_bytes > note.weights_bytes > 0
        assert file_sha256(plan.file) == note.sha256
        assert note.activation_bytes > 0 and note.seconds > 0
        assert not any(entry.startswith(("GRID_SAMPLE", "PLUGIN")) for entry in note.layers)


@pytest.mark.slow
def test_every_subgraph_builds_and_a_second_build_finds_it(mixed, tmp_path):
    steps: list[tuple[str, int, int]] = []
    listener = Listener(on_step=lambda *step: steps.append(step))
    made = build_plans(mixed, request(), tmp_path, listener)
    expect_built(made, mixed, 1)
    assert not any(plan.cached for plan in made)
    assert steps and all(0 <= done <= max(total, done) for _, done, total in steps)
    again = build_plans(mixed, request(), tmp_path)
    assert all(plan.cached for plan in again)
    assert [plan.note for plan in again] == [plan.note for plan in made]
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "mixed", "fp16"])
@pytest.mark.parametrize("network", ["tiny", "tiny_without_kalman", "tiny_without_cfa"])
def test_every_configuration_builds_for_every_card(
    request: pytest.FixtureRequest, exported, tmp_path, network, precision
):
    bundle = load_bundle(exported(request.getfixturevalue(network)))
    if precision != "fp32":
        convert_bundle(bundle, tmp_path / "bundle", precision)
        bundle = load_bundle(tmp_path / "bundle")
    targets = ("sm86", "sm89", "sm120") if network == "tiny" else ("sm89",)
    wanted = BuildRequest(targets=targets, profile=PROFILE)
    expect_built(build_plans(bundle, wanted, tmp_path / "plans"), bundle, len(targets))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "mixed"])
def test_the_full_network_builds_for_every_card(full_bundle, tmp_path, precision):
    bundle = load_bundle(full_bundle)
    if precision == "mixed":
        convert_bundle(bundle, tmp_path / "bundle", "mixed")
        bundle = load_bundle(tmp_path / "bundle")
    wanted = BuildRequest(targets=("sm86", "sm89", "sm120"))
    made = build_plans(bundle, wanted, tmp_path / "plans")
    expect_built(made, bundle, 3)
    decoder = next(plan.note for plan in made if plan.note.key.subgraph == "decoder")
    half = precision == "mixed"
    assert decoder.weights_bytes < (2.6e8 if half else 4e8)
    assert ("CONVOLUTION HALF" in decoder.layers) == half


def test_float32_islands_are_those_of_the_manifest_and_no_more(mixed):
    for name, spec in mixed.subgraphs.items():
        _, network, _parser = parsed(mixed, name)
        layers = check_network(network, name, spec, "mixed")
        kept = {node for nodes in spec.float32_nodes.values() for node in nodes}
        in_float32 = {
            layer.node for layer in layers if layer.kind in COMPUTES and layer.dtype == "FLOAT"
        }
        assert in_float32 <= kept
        assert not {layer.kind for layer in layers} & {"GRID_SAMPLE", "PLUGIN_V2", "PLUGIN_V3"}


def test_a_node_that_falls_back_to_float32_is_named(mixed):
    spec = mixed.subgraphs["hq_encoder"]
    _, network, _parser = parsed(mixed, "hq_encoder")
    with pytest.raises(BackendError, match="hq_encoder: SOFTMAX node_softmax computes in FLOAT"):
        check_network(network, "hq_encoder", replace(spec, float32_nodes={}), "mixed")


def test_a_half_node_in_a_float32_bundle_is_named(mixed):
    spec = mixed.subgraphs["hq_encoder"]
    _, network, _parser = parsed(mixed, "hq_encoder")
    with pytest.raises(BackendError, match="computes in HALF, the manifest says FLOAT"):
        check_network(network, "hq_encoder", spec, "fp32")


def test_borders_are_held_against_the_manifest(mixed):
    spec = mixed.subgraphs["hq_encoder"]
    (warped,) = spec.inputs
    _, network, _parser = parsed(mixed, "hq_encoder")
    wrong = replace(spec, inputs=(replace(warped, dtype="float16"),))
    with pytest.raises(BackendError, match=r"hq_encoder: input warped is .*'FLOAT'.*'HALF'"):
        check_network(network, "hq_encoder", wrong, "mixed")


def test_grid_sample_is_refused(mixed):
    """A graph with the warp inside: parsed, and then turned away."""
    spec = mixed.subgraphs["hq_encoder"]
    model = onnx.load(mixed.file("hq_encoder"))
    graph = model.graph
    grid = onnx.helper.make_tensor("grid", onnx.TensorProto.FLOAT, [1, 4, 4, 2], [0.0] * 32)
    graph.initializer.append(grid)
    graph.node.insert(
        0, onnx.helper.make_node("GridSample", ["warped", "grid"], ["sampled"], "sampler")
    )
    _, network, _parser = parsed(mixed, "hq_encoder", model.SerializeToString())
    assert "GRID_SAMPLE" in {layer.kind for layer in layers_of(network)}
    with pytest.raises(BackendError, match="hq_encoder has a GRID_SAMPLE layer"):
        check_network(network, "hq_encoder", spec, "mixed")


def test_a_graph_changed_after_the_check_is_refused(mixed, tmp_path):
    bundle = only(mixed, "flow_features")
    copy = replace(bundle, path=tmp_path / "copy")
    copy.path.mkdir()
    content = bytearray(bundle.file("flow_features").read_bytes())
    content[len(content) // 2] ^= 1
    copy.file("flow_features").write_bytes(content)
    with pytest.raises(BackendError, match="changed since the bundle was checked"):
        build_plans(copy, request(), tmp_path / "plans")
    assert not list((tmp_path / "plans").glob("*.plan"))


def test_unknown_flavour_and_target_are_refused(one, tmp_path):
    with pytest.raises(UsageError, match="unknown flavour 'trt'; choose rtx or tensorrt"):
        build_plans(one, BuildRequest(flavour="trt"), tmp_path)
    with pytest.raises(UsageError, match="rtx cannot build for 'sm90'; choose sm80, "):
        build_plans(one, request("sm90"), tmp_path)


def test_without_a_gpu_the_present_card_cannot_be_the_target(one, tmp_path):
    with contextlib.suppress(BackendError):
        require_card()
        pytest.skip("this machine has a GPU")
    with pytest.raises(UsageError, match=r"name the cards .* --target sm86,sm89; rtx builds for"):
        build_plans(one, BuildRequest(flavour="rtx"), tmp_path)
    for flavour, targets in (("tensorrt", ()), ("tensorrt", ("sm89",))):
        with pytest.raises(BackendError, match=r"no NVIDIA driver .*; run `keeprt doctor`"):
            build_plans(one, BuildRequest(flavour=flavour, targets=targets), tmp_path)


def test_a_missing_wheel_names_the_extra(one, tmp_path, monkeypatch):
    missing = Flavour("rtx", "tensorrt_of_tomorrow", "rtx", ("sm89",))
    monkeypatch.setitem(FLAVOURS, "rtx", missing)
    with pytest.raises(BackendError, match=r"tensorrt_of_tomorrow .*pip install .*\[rtx\]"):
        build_plans(one, request(), tmp_path)


def test_a_foreign_graph_is_refused_in_one_line(one, tmp_path):
    foreign = replace(one, path=tmp_path)
    file = foreign.file("flow_features")
    file.write_bytes(b"this is no graph")
    spec = replace(one.subgraphs["flow_features"], sha256=file_sha256(file))
    foreign = replace(foreign, manifest=replace(one.manifest, subgraphs={"flow_features": spec}))
    with pytest.raises(
        BackendError, match=r"tensorrt_rtx cannot read flow_features\.onnx: no gr"
    ) as error:
        build_plans(foreign, request(), tmp_path / "plans")
    assert "\n" not in str(error.value)


def test_weights_in_another_file_are_not_read(one, tmp_path):
    """The hash in a plan's name covers the graph's file alone, so nothing else may count."""
    model = onnx.load(one.file("flow_features"))
    file = tmp_path / one.subgraphs["flow_features"].file
    onnx.save(model, file, save_as_external_data=True, location="weights", size_threshold=0)
    spec = replace(one.subgraphs["flow_features"], sha256=file_sha256(file))
    manifest = replace(one.manifest, subgraphs={"flow_features": spec})
    with pytest.raises(BackendError, match=r"cannot read flow_features\.onnx"):
        build_plans(replace(one, path=tmp_path, manifest=manifest), request(), tmp_path / "plans")


def test_timings_are_kept_for_a_builder_that_measures_on_a_card(tmp_path):
    file = tmp_path / "plans.timing"
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    config = builder.create_builder_config()
    datacenter = FLAVOURS["tensorrt"]
    # The same calls on TensorRT-RTX's own configuration, which says that it has no use for them.
    with pytest.warns(DeprecationWarning, match="no-ops in TensorRT-RTX"):
        use_timing_cache(datacenter, config, file)
        assert kept_timings(datacenter, config).nbytes > 0
    assert kept_timings(FLAVOURS["rtx"], config) is None


def test_timings_of_another_card_are_left_and_a_plan_outlives_them(tmp_path):
    file, fresh = tmp_path / "plans.timing", Mock()
    file.write_bytes(b"of another card")
    config = Mock()
    config.create_timing_cache.side_effect = lambda blob: fresh if blob == b"" else Mock()
    config.set_timing_cache.side_effect = lambda cache, ignore_mismatch: cache is fresh
    use_timing_cache(FLAVOURS["tensorrt"], config, file)
    assert config.set_timing_cache.call_args.args == (fresh,)
    config.get_timing_cache.return_value = None
    assert kept_timings(FLAVOURS["tensorrt"], config) is None
    told: list[str] = []
    build_all._keep_timings(tmp_path / "none" / "x", b"", Listener(notify=told.append))
    assert "cannot keep the builder's timings" in told[0]


def test_a_card_that_the_flavour_cannot_build_for_is_told(monkeypatch):
    card = Card(0, "Test Card", "sm90", 1 << 34)
    monkeypatch.setattr(flavours, "require_card", lambda: card)
    with pytest.raises(UsageError, match=r"does not support this card \(sm90\).*tensorrt"):
        resolve_targets(FLAVOURS["rtx"], ())
