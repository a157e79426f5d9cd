"""Broken bundles, and one measured run that the tests share."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from keeprt.benchmarks.precision.runs import Recorder
from keeprt.benchmarks.verify.measuring.run import Verification, Watchers, spread
from keeprt.benchmarks.verify.result import Result
from keeprt.benchmarks.verify.subject import notes_of, subject_of
from keeprt.engine.bundle.load import MANIFEST, file_sha256, load_bundle
from keeprt.engine.libraries.onnxruntime.sessions import OnnxRuntimeBackend
from keeprt.export.model import Keep
from tests.engine.cli.conftest import keeprt  # noqa: F401
from tests.networks import faces

WINDOW = 4


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    """More threads take longer on so small a network."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def verification(bundle: Path, network: Keep, frames: int, **changes) -> Verification:
    """A run of the tiny network that was not started yet."""
    checked = load_bundle(bundle)
    clip = {"name": "made", "kind": "aligned"}
    chunk = changes.pop("chunk", None)
    subject = subject_of(checked, "clip" if chunk else "stream", WINDOW, chunk or 0, clip, frames)
    result = Result(subject, notes_of(checked, "onnxruntime", "cpu", 1))
    return Verification(
        bundle=checked,
        backend=Recorder(OnnxRuntimeBackend(checked, threads=1)),
        network=network,
        result=result,
        window=WINDOW,
        chunk=chunk,
        samples=spread(3, frames),
        watchers=changes.pop("watchers", Watchers()),
        **changes,
    )


def measured(bundle: Path, network: Keep, frames: int = 3, **changes) -> Verification:
    run = verification(bundle, network, frames, **changes)
    run.run(faces(frames))
    return run


@pytest.fixture(scope="package")
def right(tiny: Keep, tiny_bundle: Path) -> Result:
    """The right bundle over enough frames for a trend."""
    return measured(tiny_bundle, tiny, 12, control=True).result


@pytest.fixture
def broken(tiny_bundle: Path, tmp_path: Path) -> Callable[[str], tuple[Path, str]]:
    """A copy of the bundle, sealed anew, in which one weight of one subgraph is half as large
    again; with the name of the node that reads it."""

    def change(subgraph: str) -> tuple[Path, str]:
        folder = tmp_path / f"broken_{subgraph}"
        shutil.copytree(tiny_bundle, folder)
        bundle = load_bundle(folder)
        file = bundle.file(subgraph)
        model = onnx.load(file)
        matrices = [t for t in model.graph.initializer if t.data_type == 1 and len(t.dims) > 1]
        weight = matrices[len(matrices) // 2]
        values = numpy_helper.to_array(weight).copy()
        values[np.unravel_index(np.abs(values).argmax(), values.shape)] *= 1.5
        weight.CopyFrom(numpy_helper.from_array(values, weight.name))
        (reader,) = (node.name for node in model.graph.node if weight.name in node.input)
        onnx.save(model, file)
        spec = replace(
            bundle.subgraphs[subgraph], sha256=file_sha256(file), size_bytes=file.stat().st_size
        )
        subgraphs = {**bundle.subgraphs, subgraph: spec}
        manifest = replace(bundle.manifest, subgraphs=subgraphs)
        (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        return folder, reader

    return change
