"""Clean-ups of ONNX graphs: what is folded computes the same, what must stay stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from keeprt.export.onnx_passes import drop_unused_constants, fold_pads

SIDES = [0, 0, 0, 0, 0, 0, 1, 1]  # one row at the bottom, one column on the right


def graph(
    sides: list[int] = SIDES,
    value: float | None = None,
    mode: str = "constant",
    conv: dict[str, Any] | None = None,
    extra: list[onnx.NodeProto] | None = None,
    outputs: tuple[str, ...] = ("y",),
) -> onnx.ModelProto:
    """x (1, 2, 5, 5) -> Pad -> Conv 3x3 -> y."""
    weight = np.random.default_rng(0).standard_normal((2, 2 + sides[1] + sides[5], 3, 3))
    constants = {"sides": np.array(sides, np.int64), "weight": weight.astype(np.float32)}
    inputs = ["x", "sides"]
    if value is not None:
        constants["value"] = np.array(value, np.float32)
        inputs.append("value")
    nodes = [
        helper.make_node("Pad", inputs, ["padded"], mode=mode),
        helper.make_node("Conv", ["padded", "weight"], ["y"], **(conv or {})),
        *(extra or []),
    ]
    shape = [1, 2, 5, 5]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [
                helper.make_tensor_value_info(o, TensorProto.FLOAT, ["n", "c", "h", "w"])
                for o in outputs
            ],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    onnx.checker.check_model(model)
    return model


def outputs_of(model: onnx.ModelProto) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    x = np.random.default_rng(1).standard_normal((1, 2, 5, 5)).astype(np.float32)
    return session.run(None, {"x": x})


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"value": 0.0},
        {"sides": [0, 0, 2, 1, 0, 0, 0, 3]},
        {"conv": {"strides": [2, 2]}},
        {"conv": {"pads": [1, 0, 2, 1]}},
    ],
)
def test_zero_padding_moves_into_the_convolution(options: dict[str, Any]) -> None:
    model = graph(**options)
    expected = outputs_of(model)
    assert fold_pads(model) == 1
    drop_unused_constants(model)
    onnx.checker.check_model(model)
    assert kinds(model) == ["Conv"]
    assert [tensor.name for tensor in model.graph.initializer] == ["weight"]
    np.testing.assert_allclose(outputs_of(model)[0], expected[0], atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"value": 1.0},
        {"mode": "reflect"},
        {"mode": "edge"},
        {"sides": [0, 1, 0, 0, 0, 0, 1, 1]},
        {"sides": [0, 0, -1, 0, 0, 0, 1, 1]},
        {"extra": [helper.make_node("Relu", ["padded"], ["z"])], "outputs": ("y", "z")},
        {"outputs": ("y", "padded")},
        {"conv": {"auto_pad": "SAME_UPPER"}},
    ],
    ids=[
        "value",
        "reflect",
        "edge",
        "channels",
        "negative",
        "used twice",
        "graph output",
        "auto_pad",
    ],
)
def test_other_padding_stays(options: dict[str, Any]) -> None:
    model = graph(**options)
    expected = outputs_of(model)
    assert fold_pads(model) == 0
    assert "Pad" in kinds(model)
    for actual, value in zip(outputs_of(model), expected, strict=True):
        np.testing.assert_array_equal(actual, value)


def test_a_constant_that_is_an_output_is_kept() -> None:
    model = graph()
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "constant"))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "unused"))
    model.graph.output.append(helper.make_tensor_value_info("constant", TensorProto.FLOAT, [1]))
    drop_unused_constants(model)
    names = {tensor.name for tensor in model.graph.initializer}
    assert names == {"sides", "weight", "constant"}
