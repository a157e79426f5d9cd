"""FLOP and bytes: by hand on small graphs, and against PyTorch's own counter on the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from keeprt.benchmarks.bench.cost import StageCost, clip_costs, graph_cost, stream_costs
from keeprt.engine.bundle.load import Bundle, load_bundle
from keeprt.export import graph_forms
from keeprt.export.graph_forms import phased
from keeprt.export.model import Keep, KeepConfig
from keeprt.export.precision.cost import node_flops

# GFLOP per frame at 512 x 512: docs/model.md, section 17.
PUBLISHED_GFLOP = {
    "encoder": 212.4,
    "hq_encoder": 212.4,
    "generator": 367.9,
    "flownet": 186.7,
    "backbone on two images": 71.0,
    "kalman_filter, 2 frames": 9.7,
    "lookup": 11.2,
    "CFT": 8.7 + 8.7 + 34.9,
    "CFA": 3.0 + 8.1,
}


def graph(nodes: list, values: dict[str, list[int]], **constants: list[int]) -> onnx.ModelProto:
    """A model of `nodes` from "x" to "y"; every value and constant is float32 of a shape."""
    made = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in values.items()
    }
    initialisers = [
        numpy_helper.from_array(np.zeros(shape, np.float32), name)
        for name, shape in constants.items()
    ]
    inputs = [made[name] for name in values if name.startswith("x")]
    return helper.make_model(
        helper.make_graph(
            nodes, "g", inputs, [made["y"]], initialisers, value_info=[*made.values()]
        )
    )


def flop_of(model: onnx.ModelProto) -> float:
    return sum(flop for _, _, flop in node_flops(model, {}))


def counted(work: object) -> int:
    """FLOP that PyTorch counts while `work` runs."""
    with FlopCounterMode(display=False) as counter:
        work()  # type: ignore[operator]
    return counter.get_total_flops()


@pytest.mark.parametrize("groups", [1, 4])
def test_convolution_and_its_transpose_are_counted_as_pytorch_does(groups: int) -> None:
    x = torch.zeros(2, 8, 10, 12)
    plain = nn.Conv2d(8, 16, 3, stride=2, groups=groups)
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=groups, strides=[2, 2])
    model = graph([node], {"x": [2, 8, 10, 12], "y": [*plain(x).shape]}, w=[*plain.weight.shape])
    assert flop_of(model) == counted(lambda: plain(x)) > 0

    back = nn.ConvTranspose2d(8, 16, 3, stride=2, groups=groups)
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], group=groups, strides=[2, 2])
    model = graph([node], {"x": [2, 8, 10, 12], "y": [*back(x).shape]}, w=[*back.weight.shape])
    assert flop_of(model) == counted(lambda: back(x)) > 0


@pytest.mark.parametrize("trans_a", [0, 1])
def test_gemm(trans_a: int) -> None:
    left = [5, 3] if trans_a else [3, 5]
    model = graph(
        [helper.make_node("Gemm", ["x", "w"], ["y"], transA=trans_a)],
        {"x": left, "y": [3, 7]},
        w=[5, 7],
    )
    assert flop_of(model) == 2 * 3 * 5 * 7


def test_einsum_is_the_product_of_all_letters() -> None:
    node = helper.make_node("Einsum", ["x", "x2"], ["y"], equation="b i d, b j d -> b i j")
    model = graph([node], {"x": [2, 3, 5], "x2": [2, 7, 5], "y": [2, 3, 7]})
    left, right = torch.zeros(2, 3, 5), torch.zeros(2, 7, 5)
    expected = counted(lambda: torch.einsum("bid,bjd->bij", left, right))
    assert flop_of(model) == expected == 2 * 2 * 3 * 7 * 5


@pytest.mark.parametrize("heads_apart", [True, False])
def test_attention_counts_scores_and_values(heads_apart: bool) -> None:
    node = helper.make_node("Attention", ["x", "x2", "x3"], ["y"])
    shapes = {"x": 4, "x2": 6, "x3": 6, "y": 4}
    values = {
        n: [2, 3, length, 8] if heads_apart else [2, length, 24] for n, length in shapes.items()
    }
    query, key, value = (torch.zeros(2, 3, length, 8) for length in (4, 6, 6))
    expected = counted(lambda: (query @ key.transpose(2, 3)) @ value)
    assert flop_of(graph([node], values)) == expected


def test_bytes_of_a_small_graph_by_hand() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Reshape", ["a", "shape"], ["b"]),
        helper.make_node("Relu", ["b"], ["y"]),
    ]
    model = graph(nodes, {"x": [4, 8], "a": [4, 16], "b": [64], "y": [64]}, w=[8, 16])
    model.graph.initializer.append(numpy_helper.from_array(np.array([64]), "shape"))
    cost = graph_cost("any", model, {})
    x, w, a, y = 4 * 8 * 4, 8 * 16 * 4, 64 * 4, 64 * 4
    assert cost.flop == {"float32": 2 * 4 * 8 * 16}
    assert cost.must_move_bytes == x + w + y + 8  # the shape's one int64 too
    assert cost.unfused_bytes == (x + w + a) + (a + y)  # a reshape moves nothing


def test_of_a_table_only_the_rows_looked_up_must_move() -> None:
    node = helper.make_node("Gather", ["table", "x"], ["y"])
    model = graph([node], {"x": [3], "y": [3, 16]}, table=[1000, 16])
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    model.graph.value_info[0].type.tensor_type.elem_type = TensorProto.INT64
    rows, index = 3 * 16 * 4, 3 * 8
    assert graph_cost("any", model, {}).must_move_bytes == rows + index + rows


def test_a_clips_frame_has_its_share_of_what_not_every_frame_does(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    frame = stream_costs(bundle, 1, 4)
    chunk = clip_costs(bundle, 4)
    assert chunk["decoder"] == frame["decoder"]
    for stage in ("flow_matching", "hq_encoder", "warp"):
        assert chunk[stage].must_move_bytes == frame[stage].must_move_bytes * 3 / 4
    # All four gains at once, shared out, cost less than four times a frame's own.
    assert 0 < chunk["gain_net"].total_flop < frame["gain_net"].total_flop


def test_weights_are_moved_once_for_a_batch_and_work_grows_with_it(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    one, four = stream_costs(bundle, 1, 8), stream_costs(bundle, 4, 8)
    for stage, cost in one.items():
        assert four[stage].total_flop == 4 * cost.total_flop
        assert four[stage].must_move_bytes < 4 * cost.must_move_bytes or stage == "warp"


def on_meta(config: KeepConfig) -> Keep:
    with torch.device("meta"):
        return Keep(config).eval().requires_grad_(False)


def as_exported(network: Keep, monkeypatch: pytest.MonkeyPatch) -> Keep:
    """The form that the graphs have, on the meta device like the network itself."""
    monkeypatch.setattr(graph_forms, "TAPS", graph_forms.TAPS.to("meta"))
    return phased(network)


def stage_flops(network: Keep, window: int) -> dict[str, int]:
    """FLOP of each engine stage of a steady frame, by PyTorch's counter, on the meta device.

    The stages stand for the network with three differences on purpose: the flow's backbone runs
    once a frame, not on both images; the last gain layer goes on with the wanted frame alone; the
    decoder is the network's in the exported form, given here by the caller.
    """
    config = network.config
    size, grid, flow = config.face_size, config.latent_size, config.flow_size
    with torch.device("meta"):
        face = torch.empty(1, 3, size, size)
        latent = torch.empty(1, config.latent_channels, grid, grid)
        window_latents = torch.empty(1, window, config.latent_channels, grid, grid)
        features = torch.empty(1, config.flow_channels[-1], flow, flow)
        selected = torch.empty(1, dtype=torch.int64)
        codes = torch.empty(1, grid**2, dtype=torch.int64)
        taps, caches = (
            {s: torch.empty(1, config.channels_at(s), s, s) for s in scales}
            for scales in (config.cft_scales, config.cfa_scales)
        )
    flownet = network.flownet.model
    return {
        "lq_encoder": counted(lambda: network.encoder(face)),
        "hq_encoder": counted(lambda: network.hq_encoder(face)),
        "flow_features": counted(lambda: flownet.features(face)),
        "flow_matching": counted(lambda: flownet.match(features, features)),
        "gain_net": counted(lambda: network.kalman_filter(window_latents, selected)),
        "decoder": counted(lambda: (network.lookup(latent), network.decode(codes, taps, caches))),
        "warp": 0,
    }


def assert_within_a_hundredth(costs: dict[str, StageCost], expected: dict[str, int]) -> None:
    assert costs.keys() == expected.keys()
    for stage, flop in expected.items():
        assert costs[stage].total_flop == pytest.approx(flop, rel=0.01), stage


def test_graphs_agree_with_pytorchs_counter_stage_by_stage(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = as_exported(on_meta(KeepConfig.tiny()), monkeypatch)
    costs = stream_costs(load_bundle(tiny_bundle), 1, 8)
    assert_within_a_hundredth(costs, stage_flops(network, 8))


@pytest.mark.slow
def test_full_size_graphs_agree_with_pytorchs_counter(
    full_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_full_size(load_bundle(full_bundle), monkeypatch)


def check_full_size(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    network = as_exported(on_meta(KeepConfig()), monkeypatch)
    assert_within_a_hundredth(stream_costs(bundle, 1, 8), stage_flops(network, 8))


def test_reference_at_full_size_agrees_with_the_published_table() -> None:
    network = on_meta(KeepConfig())
    config = network.config
    with torch.device("meta"):
        face = torch.empty(1, 3, 512, 512)
        latent = torch.empty(1, 256, 16, 16)
        two = torch.empty(1, 2, 256, 16, 16)
        quantised = torch.empty(1, 256, 16, 16)
        feature = {s: torch.empty(1, config.channels_at(s), s, s) for s in config.cft_scales}
    flownet = network.flownet.model
    found = {
        "encoder": counted(lambda: network.encoder(face)),
        "hq_encoder": counted(lambda: network.hq_encoder(face)),
        "generator": counted(lambda: network.generator(quantised, {})),
        "flownet": counted(lambda: flownet(face, face)),
        "backbone on two images": 2 * counted(lambda: flownet.features(face)),
        "kalman_filter, 2 frames": counted(lambda: network.kalman_filter(two)),
        "lookup": counted(lambda: network.lookup(latent)),
        "CFT": sum(
            counted(lambda s=s: network.fuse_convs_dict[str(s)](feature[s], feature[s]))
            for s in config.cft_scales
        ),
        "CFA": sum(
            counted(lambda s=s: network.cross_fuse[str(s)](feature[s], feature[s]))
            for s in config.cfa_scales
        ),
    }
    for part, gflop in PUBLISHED_GFLOP.items():
        assert found[part] / 1e9 == pytest.approx(gflop, rel=0.01), part


@pytest.mark.slow
def test_every_difference_from_the_published_total_is_accounted_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A steady frame of ours takes fewer FLOP than the table's sum; this is where they go."""
    reference = on_meta(KeepConfig())
    ours = stage_flops(as_exported(reference, monkeypatch), 8)
    plain = stage_flops(reference, 8)
    published = sum(gflop for part, gflop in PUBLISHED_GFLOP.items() if "two images" not in part)
    # Doubling and 3x3 convolution as four 2x2 ones: 16 products for 36, at five sizes.
    upsampling = sum(
        2 * 9 * reference.config.channels_at(size // 2) ** 2 * size**2
        for size in (32, 64, 128, 256, 512)
    )
    phases = (plain["decoder"] - ours["decoder"]) / 1e9
    assert phases == pytest.approx(upsampling * 20 / 36 / 1e9, rel=0.01)
    backbone_once = ours["flow_features"] / 1e9
    # The table has 2 frames' worth of gains; a window of 8 looks at 8 and gives one.
    gains = ours["gain_net"] / 1e9 - PUBLISHED_GFLOP["kalman_filter, 2 frames"]
    expected = published - phases - backbone_once + gains
    assert sum(ours.values()) / 1e9 == pytest.approx(expected, rel=0.01)
