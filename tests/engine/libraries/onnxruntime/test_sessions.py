"""ONNX Runtime sessions: they run into the caller's memory, and check that graphs are as said."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from keeprt.engine import Restorer
from keeprt.engine.bundle.load import Bundle, file_sha256, load_bundle
from keeprt.engine.bundle.specs import numpy_dtype, stored_dtype, type_name
from keeprt.engine.errors import BackendError, BundleError
from keeprt.engine.libraries.onnxruntime.on_card import OnnxRuntimeEngines
from keeprt.engine.libraries.onnxruntime.sessions import (
    OnnxRuntimeBackend,
    element_type,
    import_onnxruntime,
)
from tests.engine.fake_bundles import Content, change, edit_and_seal


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the small bundle, to damage."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def replace_graph(bundle: Path, name: str, content: bytes) -> None:
    """Another graph in place of one, and the manifest sealed over it."""
    file = bundle / f"{name}.onnx"
    file.write_bytes(content)
    edit_and_seal(bundle, change("subgraphs", name, "sha256", to=file_sha256(file)))
    edit_and_seal(bundle, change("subgraphs", name, "size_bytes", to=len(content)))


def several(*edits: Callable[[Content], object]) -> Callable[[Content], object]:
    return lambda content: [edit(content) for edit in edits]


EDITS = {
    "lq_encoder": change("subgraphs", "lq_encoder", "outputs", 0, "name", to="z"),
    "gain_net": change("subgraphs", "gain_net", "outputs", 0, "dtype", to="float16"),
    "hq_encoder": several(
        change("subgraphs", "hq_encoder", "outputs", 0, "dtype", to="float16"),
        change("subgraphs", "decoder", "inputs", 2, "dtype", to="float16"),
    ),
    "flow_features": several(
        *(
            change("subgraphs", *where, "shape", 1, to=99)
            for where in [
                ("flow_features", "outputs", 0),
                ("flow_matching", "inputs", 0),
                ("flow_matching", "inputs", 1),
            ]
        )
    ),
    "decoder": change("subgraphs", "decoder", "outputs", 1, "shape", 1, to=10**30),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_manifest_that_does_not_describe_its_graphs(bundle: Path, name: str) -> None:
    edit_and_seal(bundle, EDITS[name])
    with pytest.raises(BundleError, match=r"manifest|has no tensor|makes the decoder"):
        Restorer.load(bundle, threads=1)


def test_a_file_that_is_no_graph(bundle: Path) -> None:
    replace_graph(bundle, "decoder", b"\x00" * 100)
    with pytest.raises(BundleError, match=r"cannot load .*decoder\.onnx") as caught:
        Restorer.load(bundle, threads=1)
    assert "\n" not in str(caught.value)


def test_the_graph_of_another_subgraph(bundle: Path) -> None:
    replace_graph(bundle, "decoder", (bundle / "lq_encoder.onnx").read_bytes())
    with pytest.raises(BundleError, match=r"decoder\.onnx.*the manifest says"):
        Restorer.load(bundle, threads=1)


def test_weights_outside_the_bundle_are_refused(bundle: Path, tmp_path: Path) -> None:
    """ONNX may point to another file for its weights; that file has no hash in the manifest."""
    model = onnx.load(bundle / "lq_encoder.onnx")
    onnx.save(
        model,
        bundle / "lq_encoder.onnx",
        save_as_external_data=True,
        location="weights.data",
        size_threshold=0,
    )
    replace_graph(bundle, "lq_encoder", (bundle / "lq_encoder.onnx").read_bytes())
    with pytest.raises(BundleError, match=r"lq_encoder\.onnx keeps weights in another file"):
        Restorer.load(bundle, threads=1)


def encoder_arrays(bundle: Bundle, faces: int) -> tuple[dict[str, np.ndarray], ...]:
    """Inputs and outputs of the LQ encoder, by name."""
    graph = bundle.subgraphs["lq_encoder"]
    return tuple(
        {spec.name: np.zeros(spec.sized(faces=faces), np.float32) for spec in specs}
        for specs in (graph.inputs, graph.outputs)
    )


def test_results_are_written_into_the_callers_memory(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    backend = OnnxRuntimeBackend(bundle, threads=1)
    memory = encoder_arrays(bundle, faces=3)
    for faces in (3, 1, 2):
        inputs, outputs = ({n: a[:faces] for n, a in arrays.items()} for arrays in memory)
        inputs["face"][:] = np.random.default_rng(faces).uniform(-1, 1, inputs["face"].shape)
        for array in outputs.values():
            array[:] = np.nan
        backend.run("lq_encoder", inputs, outputs)
        assert all(np.isfinite(array).all() for array in outputs.values())
        assert np.isfinite(memory[1]["latent"][:faces]).all()


def test_rows_beyond_the_batch_are_left_alone(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    memory = encoder_arrays(bundle, faces=3)
    latent = memory[1]["latent"]
    latent[:] = 7
    inputs, outputs = ({n: a[:2] for n, a in arrays.items()} for arrays in memory)
    OnnxRuntimeBackend(bundle, threads=1).run("lq_encoder", inputs, outputs)
    assert (latent[2] == 7).all()
    assert (latent[:2] != 7).any()


def test_a_missing_provider_is_named(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(BackendError, match=r"no CUDAExecutionProvider.*pip install .*\[gpu\]"):
        Restorer.load(tiny_bundle, provider="cuda")


def test_the_cuda_provider_starts_with_the_libraries_of_nvidias_wheels(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import onnxruntime

    calls = []
    monkeypatch.setattr(
        onnxruntime,
        "get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    monkeypatch.setattr(
        onnxruntime, "preload_dlls", lambda: calls.append("loaded") or print("not found")
    )
    with pytest.raises(BackendError):  # this build has no CUDA
        Restorer.load(tiny_bundle, provider="cuda")
    assert calls and "not found" not in capfd.readouterr().out
    calls.clear()
    Restorer.load(tiny_bundle, provider="cpu")
    assert not calls


def test_a_missing_library_says_what_to_install(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendError, match=r"pip install .*\[cpu\]"):
        Restorer.load(tiny_bundle)


def test_the_reason_is_not_hidden_when_onnx_is_missing(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(BackendError, match="onnx is not installed"):
        Restorer.load(tiny_bundle)


def test_types_of_the_manifest() -> None:
    assert numpy_dtype("float16") == np.float16
    assert numpy_dtype("bool") == np.bool_
    with pytest.raises(BackendError, match="bfloat16"):
        numpy_dtype("bfloat16")
    assert stored_dtype("bfloat16").itemsize == 2 == stored_dtype("float16").itemsize
    assert type_name(stored_dtype("bfloat16")) == "bfloat16"
    assert type_name(stored_dtype("float16")) == "float16"


def test_bfloat16_is_refused_on_a_cpu_in_one_line(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    bf16 = replace(bundle, manifest=replace(bundle.manifest, precision="bf16"))
    for library in (OnnxRuntimeBackend, OnnxRuntimeEngines):
        with pytest.raises(BackendError, match="run it on a card"):
            library(bf16, "cpu")


def test_bfloat16_is_bound_by_address() -> None:
    """ONNX Runtime takes two bytes that NumPy has no type for."""
    port = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        "same",
        [port("x", onnx.TensorProto.BFLOAT16, [3])],
        [port("y", onnx.TensorProto.BFLOAT16, [3])],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9
    )
    session = import_onnxruntime().InferenceSession(model.SerializeToString())
    given, found = (np.zeros(3, stored_dtype("bfloat16")) for _ in range(2))
    given.view(np.uint16)[:] = [0x3F80, 0x4000, 0xC040]
    binding, kind = session.io_binding(), element_type(given.dtype)
    binding.bind_input("x", "cpu", 0, kind, given.shape, given.ctypes.data)
    binding.bind_output("y", "cpu", 0, kind, found.shape, found.ctypes.data)
    session.run_with_iobinding(binding)
    assert (found.view(np.uint16) == given.view(np.uint16)).all()
