"""Weights stored as halves: the same results from half the bytes, and the shipped bundle's own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from keeprt.engine.bundle.load import DEMO_FOLDER, load_bundle
from keeprt.engine.errors import BundleError
from keeprt.export.half_storage import load_widened, store_as_half
from keeprt.export.pipeline import load_network
from keeprt.export.weights import demo

SHIPPED = pytest.mark.skipif(not DEMO_FOLDER.is_dir(), reason="no demo bundle comes along")


def product(weights: np.ndarray) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def outputs(model: onnx.ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    x = np.linspace(-1, 1, 64, dtype=np.float32)[None]
    return session.run(None, {"x": x})[0]


def test_only_weights_that_half_precision_holds_are_stored_so(tmp_path: Path) -> None:
    exact = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float16).astype(np.float32)
    model = product(exact)
    before, size = outputs(model), model.ByteSize()
    assert store_as_half(model) == 1
    onnx.checker.check_model(model, full_check=True)
    assert model.ByteSize() < 0.55 * size
    assert np.array_equal(outputs(model), before)
    onnx.save(model, tmp_path / "stored.onnx")
    again = load_widened(tmp_path / "stored.onnx")
    assert again == product(exact)
    for others in (exact + np.float32(1e-6), exact * np.float32(1e6)):
        assert store_as_half(product(others)) == 0


def test_a_bundle_by_the_name_demo_is_the_one_that_comes_along(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("keeprt.engine.bundle.load.DEMO_FOLDER", tiny_bundle)
    assert load_bundle("demo").path == tiny_bundle
    (tmp_path / "demo").mkdir()
    assert load_bundle("demo").path == tiny_bundle, "the demo's own output is no bundle"
    monkeypatch.setattr("keeprt.engine.bundle.load.DEMO_FOLDER", tmp_path / "missing")
    with pytest.raises(BundleError, match="missing"):
        load_bundle("demo")


@SHIPPED
def test_the_shipped_bundle_is_of_the_shipped_weights() -> None:
    recipe, bundle = demo.demo_recipe(), load_bundle("demo")
    assert hashlib.sha256(demo.FILE.read_bytes()).hexdigest() == recipe["sha256"]
    assert demo.FILE.stat().st_size <= 6_000_000
    assert sum(graph.size_bytes for graph in bundle.subgraphs.values()) <= 8_000_000
    network, digest = load_network("demo")
    assert bundle.manifest.weights_source == bundle.findable_weights == "demo"
    assert bundle.manifest.weights_sha256 == digest
    for name, tensor in network.state_dict().items():
        assert tensor.half().float().equal(tensor), f"{name} is not held by half precision"
