"""Half results are really rounded, whatever ONNX Runtime would rather keep in float32."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from keeprt.export.precision.islands import Island
from keeprt.export.precision.stored import has_half, store_half, to_tf32
from keeprt.export.precision.typed_graph import convert

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
KINDS = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def two_convolutions(first: float = 1000.0, second: float = 0.001) -> onnx.ModelProto:
    """x -> Conv(x first) -> Conv(x second) -> y, one pixel of one channel."""
    shape = [1, 1, 1, 1]
    weights = [
        numpy_helper.from_array(np.full(shape, value, np.float32), name)
        for name, value in (("w1", first), ("w2", second))
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w1"], ["between"], "first"),
            helper.make_node("Conv", ["between", "w2"], ["y"], "second"),
        ],
        "two",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info("y", FLOAT, shape)],
        weights,
        value_info=[helper.make_tensor_value_info("between", FLOAT, shape)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def typed(model: onnx.ModelProto, half: str = "float16", **borders: str) -> onnx.ModelProto:
    convert(model, "two", half, border_types={"x": "float32", "y": "float32"} | borders, islands=())
    return model


def run(model: onnx.ModelProto, x: float, kind: type = np.float32) -> np.ndarray:
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": np.full((1, 1, 1, 1), x, kind)})[0].ravel()[0]


def test_an_overflow_between_two_half_nodes_shows() -> None:
    model = typed(two_convolutions())
    assert has_half(model)
    # the same graph as it is: the library keeps float32 between its nodes, which is the trap
    assert run(model, 100.0) == pytest.approx(100.05, abs=0.05)
    assert not np.isfinite(run(store_half(model), 100.0))


@pytest.mark.parametrize("half", KINDS)
@settings(deadline=None, max_examples=25)
@given(x=st.floats(0.0625, 30, width=32))
def test_each_result_is_rounded_once_and_as_numpy_rounds(half: str, x: float) -> None:
    kind = KINDS[half]
    stored = store_half(typed(two_convolutions(1.7, 0.3), half))

    def rounded(value: object) -> np.float32:
        return np.float32(np.asarray(value, np.float32).astype(kind))

    between = rounded(rounded(x) * rounded(1.7))
    assert run(stored, x) == rounded(between * rounded(0.3))


def test_half_borders_stay_half_and_are_read_inside() -> None:
    stored = store_half(typed(two_convolutions(1.7, 0.3), x="float16", y="float16"))
    assert run(stored, 1.0, np.float16).dtype == np.float16
    plain = store_half(typed(two_convolutions(1.7, 0.3)))
    assert run(stored, 1.0, np.float16) == run(plain, 1.0)
    half = typed(two_convolutions(1.7, 0.3), "bfloat16", x="bfloat16", y="bfloat16")
    wide = store_half(half, wide_borders=True)
    also = store_half(typed(two_convolutions(1.7, 0.3), "bfloat16"))
    assert run(wide, 1.2345678) == run(also, 1.2345678)


@given(x=st.floats(2.0**-90, 2.0**90, width=32))
def test_tf32_keeps_eleven_bits(x: float) -> None:
    short = to_tf32(np.array([x], np.float32))
    assert short.view(np.uint32)[0] & 0x1FFF == 0
    assert abs(float(short[0]) - x) <= x * 2.0**-11


def test_tf32_shortens_the_operands_of_the_islands_products_only() -> None:
    model = two_convolutions(1.7, 0.3)
    x = 1.2345678
    every = (Island("all", ".*"),)
    convert(model, "two", "float16", border_types={"x": "float32", "y": "float32"}, islands=every)
    assert run(store_half(model), x) == np.float32(np.float32(x) * np.float32(1.7)) * np.float32(
        0.3
    )
    short = lambda value: to_tf32(np.array(value, np.float32))  # noqa: E731
    assert run(store_half(model, tf32=True), x) == short(short(x) * short(1.7)) * short(0.3)
