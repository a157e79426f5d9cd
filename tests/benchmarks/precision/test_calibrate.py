"""What comes near to float16's range stays float32 or is refused, by name."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from keeprt.benchmarks.demo import write_png
from keeprt.benchmarks.demo_clip import demo_clip
from keeprt.benchmarks.precision import calibrate
from keeprt.benchmarks.precision.calibrate import convert_calibrated
from keeprt.benchmarks.precision.headroom import headroom
from keeprt.benchmarks.precision.runs import FrameRecord, record_run, relative, run_subgraph
from keeprt.benchmarks.precision.storage import stored_backend
from keeprt.benchmarks.verify.subject import open_backend
from keeprt.engine.bundle.load import Bundle, file_sha256, load_bundle
from keeprt.engine.cli.export import export
from keeprt.engine.devices.cpu.device import Backend
from keeprt.engine.errors import BundleError
from keeprt.export.precision.graph_copy import convert_bundle
from keeprt.export.precision.headroom import LARGEST_HALF, LEAST_HEADROOM
from keeprt.export.precision.islands import NORMS

pytestmark = pytest.mark.slow
BEFORE_A_NORM = "encoder.blocks.7.conv1.weight"  # GroupNorm takes any scale out again
BEFORE_A_TAP = "encoder.blocks.8.conv2.weight"


@pytest.fixture(scope="module")
def faces():
    return demo_clip(2, size=128).degraded


def scaled(bundle: Bundle, folder: Path, weight: str, factor: float) -> Bundle:
    """The bundle with one of the LQ encoder's weights multiplied."""
    subgraphs = {}
    for name, spec in bundle.subgraphs.items():
        model, file = onnx.load(bundle.file(name)), folder / spec.file
        for tensor in model.graph.initializer:
            if name == "lq_encoder" and tensor.name.endswith(weight):
                values = numpy_helper.to_array(tensor) * np.float32(factor)
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        onnx.save(model, file)
        subgraphs[name] = replace(spec, sha256=file_sha256(file), size_bytes=file.stat().st_size)
    return Bundle(folder, replace(bundle.manifest, subgraphs=subgraphs))


def latent(bundle: Bundle, record: FrameRecord, backend: Backend | None = None) -> np.ndarray:
    """What the LQ encoder makes of a recorded frame, every half result stored in half."""
    given, like = record.inputs["lq_encoder"], record.outputs["lq_encoder"]
    backend = backend or stored_backend(bundle, 1)
    return run_subgraph(bundle, backend, "lq_encoder", given, like)["latent"]


def test_an_activation_out_of_range_is_named_and_stays_float32(tiny_bundle, tmp_path, faces):
    exact = load_bundle(tiny_bundle)
    (tmp_path / "loud").mkdir()
    loud = scaled(exact, tmp_path / "loud", BEFORE_A_NORM, 1e5)
    (record, *_) = record_run(loud, faces, 1)
    convert_bundle(loud, tmp_path / "blind", "fp16-norms")
    blind = load_bundle(tmp_path / "blind")
    # what `verify` runs on a processor, which would keep float32 where a card overflows
    backend = open_backend(blind, "onnxruntime", "cpu", 1, 8)
    assert not np.isfinite(latent(blind, record, backend)).all()

    said: list[str] = []
    convert_calibrated(loud, tmp_path / "seen", "fp16-norms", faces, notify=said.append)
    seen = load_bundle(tmp_path / "seen")
    kept = seen.subgraphs["lq_encoder"].float32_nodes["headroom"]
    assert 2 <= len(kept) <= 3, kept
    (line,) = (text for text in said if "head-room" in text)
    assert kept[0] in line and "module encoder.blocks.7.conv1" in line
    assert relative(latent(seen, record), record.outputs["lq_encoder"]["latent"]) < 0.02


def test_what_crosses_a_border_in_half_is_refused_by_name(tiny_bundle, tmp_path, faces):
    loud = scaled(load_bundle(tiny_bundle), tmp_path, BEFORE_A_TAP, 1e5)
    with pytest.raises(BundleError, match=r"lq_encoder: node_\w+ .*head-room.*'tap_32'"):
        convert_calibrated(loud, tmp_path / "out", "fp16-norms", faces)
    assert not (tmp_path / "out").exists()


def test_a_network_with_room_stays_as_it_was(tiny_bundle, tmp_path, faces):
    exact, said = load_bundle(tiny_bundle), []
    convert_calibrated(exact, tmp_path / "seen", "fp16-norms", faces, notify=said.append)
    convert_bundle(exact, tmp_path / "blind", "fp16-norms")
    assert load_bundle(tmp_path / "seen").identity == load_bundle(tmp_path / "blind").identity
    assert any("least head-room" in text for text in said)


def test_headroom_is_of_what_the_graphs_really_make(tiny_bundle, faces):
    exact = load_bundle(tiny_bundle)
    records = record_run(exact, faces, 1)
    tensors = headroom(exact, records, "fp16-norms", NORMS, 1)
    assert [t.headroom for t in tensors] == sorted(t.headroom for t in tensors)
    (tap,) = (t for t in tensors if (t.subgraph, t.tensor) == ("lq_encoder", "tap_32"))
    largest = max(np.abs(record.outputs["lq_encoder"]["tap_32"]).max() for record in records)
    # Another graph, another order of sums in float32.
    assert tap.largest == pytest.approx(float(largest), rel=1e-4)
    assert tap.headroom == pytest.approx(LARGEST_HALF / float(largest), rel=1e-4)
    assert LEAST_HEADROOM == 8


def test_the_command_looks_at_the_clip_and_writes_the_bundle(
    tiny_bundle, tmp_path, faces, monkeypatch, capsys
):
    monkeypatch.setattr(
        calibrate,
        "export_weights",
        lambda source, out, **given: shutil.copytree(tiny_bundle, out),
    )
    (tmp_path / "clip").mkdir()
    for index, face in enumerate(faces):
        write_png(tmp_path / "clip" / f"{index:03d}.png", face)
    export(tmp_path / "out", "demo", "fp16-norms", tmp_path / "clip")
    assert load_bundle(tmp_path / "out").manifest.precision == "fp16-norms"
    assert "least head-room" in "".join(capsys.readouterr())
