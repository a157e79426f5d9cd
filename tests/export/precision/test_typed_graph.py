"""Strongly typed graphs: types, casts, weights, and what the tiny network says in them."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from keeprt.engine.bundle.load import load_bundle
from keeprt.engine.errors import BackendError, BundleError, UsageError
from keeprt.engine.libraries.onnxruntime.sessions import OnnxRuntimeBackend
from keeprt.engine.restorer import Restorer
from keeprt.export.precision.cost import gflop_by_type, node_flops
from keeprt.export.precision.graph_copy import convert_bundle
from keeprt.export.precision.islands import ISLANDS, Island, island_of, islands_of
from keeprt.export.precision.typed_graph import MOVES, convert
from keeprt.export.precision.weights import summary, to_half
from tests.networks import faces

AXES = {"faces": 1, "frames": 8, "selected": 1}


def chain(weight: np.ndarray | None = None) -> onnx.ModelProto:
    """x -> MatMul -> Transpose -> LayerNormalization -> Reshape -> MatMul -> y, float32."""
    make = helper.make_node
    nodes = [
        make("MatMul", ["x", "w"], ["a"], "first"),
        make("Transpose", ["a"], ["b"], "turn", perm=[1, 0]),
        make("LayerNormalization", ["b", "scale"], ["c"], "norm"),
        make("Reshape", ["c", "shape"], ["d"], "shape_back"),
        make("MatMul", ["d", "w"], ["y"], "last"),
    ]
    real = TensorProto.FLOAT
    weight = np.arange(16, dtype=np.float32).reshape(4, 4) / 16 if weight is None else weight
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", real, [4, 4])],
        [helper.make_tensor_value_info("y", real, [4, 4])],
        [
            numpy_helper.from_array(weight, "w"),
            numpy_helper.from_array(np.ones(4, np.float32), "scale"),
            numpy_helper.from_array(np.array([4, 4]), "shape"),
        ],
        value_info=[helper.make_tensor_value_info(name, real, [4, 4]) for name in "abcd"],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def convert_chain(model: onnx.ModelProto, border: str = "float32", islands=ISLANDS):
    types = {"x": border, "y": border}
    return convert(model, "any", "float16", border_types=types, islands=islands)


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    onnx.checker.check_model(model, full_check=True)
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = (*graph.value_info, *graph.input, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def test_islands_stay_float32_and_casts_stand_where_types_meet():
    model = chain()
    result = convert_chain(model)
    computed = {node.name: types_of(model)[node.output[0]] for node in model.graph.node}
    assert computed["first"] == computed["last"] == TensorProto.FLOAT16
    assert computed["norm"] == TensorProto.FLOAT
    # Moves between half and float32 go in half: the cast comes after the first, before the second.
    assert computed["turn"] == computed["shape_back"] == TensorProto.FLOAT16
    assert result.casts == 4
    assert result.float32_nodes == {"layer_norm": ["norm"]}
    assert [value.name for value in model.graph.output] == ["y"]


def test_half_border_needs_no_cast_at_the_ends():
    model = chain()
    assert convert_chain(model, "float16").casts == 2
    assert types_of(model)["x"] == types_of(model)["y"] == TensorProto.FLOAT16


def test_moves_between_islands_stay_float32():
    model = chain()
    every = Island("every", ".*", kinds=frozenset({"MatMul", "LayerNormalization"}))
    assert convert_chain(model, islands=(every,)).casts == 0
    assert set(types_of(model).values()) == {TensorProto.FLOAT, TensorProto.INT64}


def test_a_weight_read_in_both_types_is_there_in_both():
    model = chain()
    only_last = model.graph.node[-1]
    only_last.metadata_props.add(key="scope", value="end")
    result = convert_chain(model, islands=(Island("end", ".*", "end"),))
    assert result.float32_nodes == {"end": ["last"]}
    types = types_of(model)
    assert (types["w"], types["w_float16"]) == (TensorProto.FLOAT, TensorProto.FLOAT16)


def test_a_weight_beyond_half_is_refused_with_its_name_and_size():
    weight = np.ones((4, 4), np.float32)
    weight[1, 2] = 7e4
    with pytest.raises(BundleError, match=r"1 values of w exceed the range of float16 .*7e\+04"):
        convert_chain(chain(weight))


def test_weights_below_the_normal_range_are_kept_counted_and_reported():
    values = np.array([1.0, 3e-5, -3e-5, 1e-9, 0.0], np.float32)
    tensor, report = to_half(values, "w", TensorProto.FLOAT16)
    rounded = numpy_helper.to_array(tensor)
    assert np.allclose(rounded[1:3], [3e-5, -3e-5], atol=3e-8)
    assert (report.subnormal, report.flushed, report.overflowing) == (2, 1, 0)
    assert "2 below the normal range (kept as subnormal), 1 become zero" in summary(
        [report], "float16"
    )
    assert to_half(values, "w", TensorProto.BFLOAT16)[1].subnormal == 0


def test_unknown_precision_is_refused():
    with pytest.raises(
        UsageError, match="unknown precision 'int3'; choose fp32, fp16-norms, mixed, fp16, bf16"
    ):
        islands_of("int3")


@pytest.fixture(scope="module")
def mixed_bundle(tiny_bundle, tmp_path_factory):
    path = tmp_path_factory.mktemp("mixed") / "bundle"
    said: list[str] = []
    convert_bundle(load_bundle(tiny_bundle), path, "mixed", notify=said.append)
    assert any(line.startswith("decoder: ") and "weights in float16" in line for line in said)
    return path


@pytest.mark.parametrize("precision", ["mixed", "fp16", "bf16"])
def test_every_node_computes_in_the_type_that_the_table_says(tiny_bundle, tmp_path, precision):
    convert_bundle(load_bundle(tiny_bundle), tmp_path / "out", precision)
    bundle = load_bundle(tmp_path / "out")
    half = TensorProto.BFLOAT16 if precision == "bf16" else TensorProto.FLOAT16
    for name, spec in bundle.subgraphs.items():
        model = onnx.load(bundle.file(name))
        types = {
            value.name: value.type.tensor_type.elem_type
            for value in (*model.graph.value_info, *model.graph.output)
        }
        kept = {node for nodes in spec.float32_nodes.values() for node in nodes}
        for node in model.graph.node:
            kind = types[node.output[0]]
            if node.op_type in {*MOVES, "Cast"} or kind not in (TensorProto.FLOAT, half):
                continue
            island = island_of(node, name, islands_of(precision))
            assert (kind == TensorProto.FLOAT) == (island is not None), (name, node.name)
            assert (node.name in kept) == (island is not None)


def test_only_the_taps_cross_in_half(mixed_bundle):
    bundle = load_bundle(mixed_bundle)
    half = {
        tensor.name
        for spec in bundle.subgraphs.values()
        for tensor in (*spec.inputs, *spec.outputs)
        if tensor.dtype == "float16"
    }
    assert half == {"tap_16", "tap_32", "tap_64"}
    assert bundle.manifest.precision == "mixed"


def test_float32_share_of_the_work_is_small_and_told_in_the_manifest(mixed_bundle, tiny_bundle):
    mixed, exact = load_bundle(mixed_bundle), load_bundle(tiny_bundle)
    for name, spec in mixed.subgraphs.items():
        assert sum(spec.gflop.values()) == pytest.approx(exact.subgraphs[name].gflop["float32"])
        assert spec.gflop == pytest.approx(gflop_by_type(onnx.load(mixed.file(name)), AXES))
    work = {name: spec.gflop for name, spec in mixed.subgraphs.items()}
    assert set(work["flow_features"]) == set(work["flow_matching"]) == {"float32"}
    assert set(work["hq_encoder"]) == {"float16"}
    assert 0 < work["lq_encoder"]["float32"] < work["lq_encoder"]["float16"]
    assert 0 < work["decoder"]["float32"] < 0.1 * work["decoder"]["float16"]


def test_work_of_a_convolution_is_counted_as_in_the_book(tiny_bundle):
    bundle = load_bundle(tiny_bundle)
    work = {name: flop for name, _, flop in node_flops(onnx.load(bundle.file("hq_encoder")), AXES)}
    # 3x3 from 3 to 16 channels on 128 x 128: two operations per product.
    assert work["node_conv2d"] == 2 * 128 * 128 * 16 * 3 * 9


def test_graphs_tell_nothing_of_the_machine_that_exported(tiny_bundle):
    bundle = load_bundle(tiny_bundle)
    for name in bundle.subgraphs:
        raw = bundle.file(name).read_bytes()
        assert b"stack_trace" not in raw and b".py" not in raw


@pytest.mark.slow
def test_mixed_restores_nearly_as_float32_from_the_same_state(mixed_bundle, tiny_bundle):
    """A state goes on under another precision; only codes nearly tied may flip."""
    exact, mixed = Restorer.load(tiny_bundle, window=3), Restorer.load(mixed_bundle, window=3)
    state, equal, tokens, difference = exact.new_state(), 0, 0, []
    for picture in faces(4):
        restored, _ = mixed.restore(picture, state.snapshot())
        codes = mixed.last_codes
        expected, state = exact.restore(picture, state)
        tokens += codes.size
        equal += int((codes == exact.last_codes).sum())
        if (codes == exact.last_codes).all():
            difference.append(np.abs(restored.astype(int) - expected.astype(int)).max())
    assert equal >= 0.98 * tokens
    assert max(difference, default=0) <= 3
    assert mixed.restore(faces(1)[0], mixed.new_state())[1].arrays["restored"].dtype == np.float32


def test_half_really_rounds(mixed_bundle, tiny_bundle):
    """Errors of the size of float16's mantissa: neither zero nor ten times it."""
    mixed, exact = load_bundle(mixed_bundle), load_bundle(tiny_bundle)
    error = _error(exact, mixed, "hq_encoder", "predicted")
    assert 1e-4 < error < 5e-3
    assert _error(exact, mixed, "flow_features", "features") < 1e-6


def _error(exact, mixed, name: str, output: str) -> float:
    random = np.random.default_rng(3)
    (spec,) = exact.subgraphs[name].inputs
    x = random.uniform(-1, 1, spec.sized(faces=2)).astype(np.float32)
    found = [
        onnxruntime.InferenceSession(bundle.file(name), providers=["CPUExecutionProvider"]).run(
            [output], {spec.name: x}
        )[0]
        for bundle in (exact, mixed)
    ]
    return float(np.linalg.norm(found[1] - found[0]) / np.linalg.norm(found[0]))


def random_inputs(bundle, name: str, count: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(5)
    inputs = {}
    for spec in bundle.subgraphs[name].inputs:
        shape = spec.sized(faces=count, frames=4, selected=1)
        if spec.dtype == "bool":
            inputs[spec.name] = np.arange(count) % 2 == 1
        elif spec.dtype == "int64":
            inputs[spec.name] = np.array([3])
        else:
            inputs[spec.name] = random.uniform(-1, 1, shape).astype(spec.dtype)
    return inputs


def outputs_of(backend, bundle, name: str, inputs: dict[str, np.ndarray], count: int):
    outputs = {
        spec.name: np.zeros(spec.sized(faces=count, frames=4, selected=1), spec.dtype)
        for spec in bundle.subgraphs[name].outputs
    }
    backend.run(name, inputs, outputs)
    return outputs


@pytest.mark.slow
@pytest.mark.parametrize("network", ["tiny", "tiny_without_kalman", "tiny_without_cfa"])
@pytest.mark.parametrize("precision", ["fp32", "mixed"])
def test_a_row_does_not_depend_on_its_neighbours(request, exported, tmp_path, network, precision):
    """Batches of 1 to 4: the same row among others; codes are equal, values to rounding.

    Not to the bit: matrix products of other sizes add in another order.
    """
    bundle = load_bundle(exported(request.getfixturevalue(network)))
    if precision == "mixed":
        convert_bundle(bundle, tmp_path / "mixed", "mixed")
        bundle = load_bundle(tmp_path / "mixed")
    backend = OnnxRuntimeBackend(bundle, threads=1)
    tolerance = 2e-5 if precision == "fp32" else 6e-3
    for name in bundle.subgraphs:
        full = random_inputs(bundle, name, 4)
        alone = [
            outputs_of(backend, bundle, name, _rows(full, slice(row, row + 1)), 1)
            for row in range(4)
        ]
        for count in (2, 3, 4):
            together = outputs_of(backend, bundle, name, _rows(full, slice(0, count)), count)
            for output, value in together.items():
                for row in range(count):
                    expected = alone[row][output][0].astype(np.float64)
                    if output == "codes":
                        assert (value[row] == expected).all()
                        continue
                    error = np.linalg.norm(value[row] - expected) / np.linalg.norm(expected)
                    assert error <= tolerance, (name, output, count, row)


def _rows(inputs: dict[str, np.ndarray], rows: slice) -> dict[str, np.ndarray]:
    return {
        name: value if name == "selected" else np.ascontiguousarray(value[rows])
        for name, value in inputs.items()
    }


def test_bfloat16_is_for_cards_only(tiny_bundle, tmp_path):
    convert_bundle(load_bundle(tiny_bundle), tmp_path / "bf16", "bf16")
    taps = [
        tensor.dtype
        for spec in load_bundle(tmp_path / "bf16").subgraphs.values()
        for tensor in (*spec.inputs, *spec.outputs)
        if tensor.name.startswith("tap_")
    ]
    assert taps and set(taps) == {"bfloat16"}
    with pytest.raises(BackendError, match="run it on a card"):
        Restorer.load(tmp_path / "bf16")


def test_only_float32_bundles_are_converted(mixed_bundle, tmp_path):
    with pytest.raises(UsageError, match="is mixed; only fp32 can be converted"):
        convert_bundle(load_bundle(mixed_bundle), tmp_path / "again", "fp16")
    assert not (tmp_path / "again").exists()
