"""The PyTorch engines on host memory: addresses, shapes, and the modules' own numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from keeprt.benchmarks.torch_engines import TorchEngines, main, network_of
from keeprt.engine.bundle.load import Bundle, load_bundle
from keeprt.engine.bundle.specs import numpy_dtype
from keeprt.engine.devices.cuda.engines import Engines
from keeprt.engine.errors import UsageError
from keeprt.engine.libraries.onnxruntime.sessions import OnnxRuntimeBackend
from keeprt.export.subgraphs import example_inputs, split

SIZES = [{"faces": 1, "frames": 3, "selected": 1}, {"faces": 2, "frames": 2, "selected": 1}]


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    return load_bundle(tiny_bundle)


@pytest.mark.parametrize("sizes", SIZES)
def test_runs_on_addresses_are_the_modules_to_the_bit(
    bundle: Bundle, tiny: Any, sizes: dict[str, int]
) -> None:
    """Also when what lies at an address changes between two runs of one binding."""
    engines = TorchEngines(bundle, tiny, "cpu")
    assert isinstance(engines, Engines) and engines.captures
    engines.join(dict.fromkeys(bundle.subgraphs, 7))
    for graph in split(tiny):
        memory, spec = {}, bundle.subgraphs[graph.name]
        for tensor in (*spec.inputs, *spec.outputs):
            memory[tensor.name] = np.zeros(tensor.sized(**sizes), numpy_dtype(tensor.dtype))
        addresses = {name: array.ctypes.data for name, array in memory.items()}
        run = engines.bind(graph.name, addresses, sizes)
        for seed in (1, 2):
            given = example_inputs(graph, sizes, seed)
            if graph.name == "gain_net":
                given = (given[0], torch.tensor([sizes["frames"] - 1]))
            for tensor, value in zip(spec.inputs, given, strict=True):
                memory[tensor.name][:] = value.numpy()
            run(7)
            with torch.inference_mode():
                right = graph.module(*given)
            made = right if isinstance(right, tuple) else (right,)
            for tensor, value in zip(spec.outputs, made, strict=True):
                np.testing.assert_array_equal(memory[tensor.name], value.numpy())
    engines.warmed()
    engines.close()


def test_runs_from_host_memory_are_onnx_runtime_s(bundle: Bundle, tiny: Any) -> None:
    engines, host = TorchEngines(bundle, tiny, "cpu"), OnnxRuntimeBackend(bundle, threads=1)
    sizes = SIZES[0]
    for name, spec in bundle.subgraphs.items():
        graph = next(graph for graph in split(tiny) if graph.name == name)
        values = (value.numpy() for value in example_inputs(graph, sizes))
        given = dict(zip((tensor.name for tensor in spec.inputs), values, strict=True))
        found, right = (
            {t.name: np.zeros(t.sized(**sizes), numpy_dtype(t.dtype)) for t in spec.outputs}
            for _ in range(2)
        )
        engines.run(name, given, found)
        host.run(name, given, right)
        for tensor, expected in right.items():
            if expected.dtype == np.float32:
                apart = np.linalg.norm(found[tensor] - expected)
                assert apart <= 1e-3 * max(np.linalg.norm(expected), 1e-6), (name, tensor)


def test_half_is_computed_by_autocast_and_stored_as_the_border_says(
    bundle: Bundle, tiny: Any
) -> None:
    exact, half = (
        TorchEngines(bundle, tiny, "cpu"),
        TorchEngines(bundle, tiny, "cpu", torch.bfloat16),
    )
    spec = bundle.subgraphs["hq_encoder"]
    given = {"warped": np.random.default_rng(0).uniform(-1, 1, spec.inputs[0].sized(faces=1))}
    given["warped"] = given["warped"].astype(np.float32)
    found = []
    for engines in (exact, half):
        out = {"predicted": np.zeros(spec.outputs[0].sized(faces=1), np.float32)}
        engines.run("hq_encoder", given, out)
        found.append(out["predicted"])
    apart = np.linalg.norm(found[0] - found[1]) / np.linalg.norm(found[0])
    assert 1e-4 < apart < 0.2


def test_another_network_and_other_weights_are_refused(
    bundle: Bundle, tiny_without_kalman: Any
) -> None:
    with pytest.raises(UsageError, match="the network has"):
        TorchEngines(bundle, tiny_without_kalman, "cpu")
    with pytest.raises(UsageError, match="the bundle was made of synthetic:3, not of synthetic:99"):
        network_of(bundle, "synthetic:99")
    nameless = replace(bundle.manifest, weights_source="mine.pth")
    with pytest.raises(UsageError, match=r"give the bundle's weights .* mine\.pth"):
        network_of(replace(bundle, manifest=nameless), "")


def test_without_a_card_it_says_so(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "tried.md"
    assert main([str(tiny_bundle), "--frames", "20", "--report", str(report)]) == 0
    said = capsys.readouterr().out
    assert "not possible  memory stays flat" in said and "passed  frames on the CPU" in said
    assert "memory stays flat" in report.read_text()
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
    assert "is no bundle" in capsys.readouterr().err
