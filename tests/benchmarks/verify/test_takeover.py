"""What others go on with: Polygraphy's files, golden packs, and a result judged without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from keeprt.benchmarks.verify.conclusion import Outputs
from keeprt.benchmarks.verify.judging.judge import judge
from keeprt.benchmarks.verify.judging.thresholds import load_thresholds
from keeprt.benchmarks.verify.measuring.repeats import distinct_answers
from keeprt.benchmarks.verify.measuring.run import Verification
from keeprt.benchmarks.verify.measuring.weights_check import check_weights
from keeprt.benchmarks.verify.pack import read_pack, write_pack
from keeprt.benchmarks.verify.pack_run import Runtime, judge_by_pack
from keeprt.benchmarks.verify.polygraphy_files import write_polygraphy
from keeprt.engine.bundle.load import MANIFEST, load_bundle
from keeprt.engine.errors import UsageError
from keeprt.export.model import Keep
from keeprt.export.precision.bundle import convert_subgraph
from tests.benchmarks.verify.conftest import measured

FP32 = load_thresholds("fp32")
RUNTIME = Runtime("onnxruntime", "cpu", 1)
SUBGRAPHS = ("lq_encoder", "flow_features", "flow_matching", "gain_net", "hq_encoder", "decoder")


@pytest.fixture(scope="module")
def run(tiny: Keep, tiny_bundle: Path) -> Verification:
    """Three frames, all of them kept."""
    return measured(tiny_bundle, tiny, keep=4)


@pytest.fixture(scope="module")
def pack(run: Verification, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pack") / "golden.zip"
    write_pack(path, run.bundle, run.kept, run.result.subject, run.result.notes, None)
    return path


def changed(graph: Path, to: Path, factor: float, index: int = 0, every: int = 1) -> str:
    """A copy of a graph in which every so many numbers of one weight are scaled; its name."""
    model = onnx.load(graph)
    matrices = [t for t in model.graph.initializer if t.data_type in (1, 10) and len(t.dims) > 1]
    weight = matrices[index]
    values = numpy_helper.to_array(weight)
    places = np.arange(values.size).reshape(values.shape) % every == 0
    scaled = np.where(places, values * factor, values).astype(values.dtype)
    weight.CopyFrom(numpy_helper.from_array(scaled, weight.name))
    onnx.save(model, to)
    return str(weight.name)


def polygraphy(*arguments: object) -> subprocess.CompletedProcess[str]:
    start = "from polygraphy.tools import main; raise SystemExit(main())"
    command = [sys.executable, "-c", start, "run", *map(str, arguments), "--onnxrt"]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("subgraph", SUBGRAPHS)
def test_polygraphy_takes_over_and_finds_a_change(
    run: Verification, tmp_path: Path, subgraph: str
) -> None:
    pytest.importorskip("polygraphy")
    tensors = {subgraph: run.tensors[subgraph]}
    write_polygraphy(tmp_path, run.bundle, tensors, FP32)
    graph = run.bundle.file(subgraph)
    files = ("--load-inputs", tmp_path / f"{subgraph}_input.json", "--load-outputs")
    same = polygraphy(graph, *files, tmp_path / f"{subgraph}_output.json")
    assert same.returncode == 0, same.stdout[-2000:]
    other = tmp_path / "changed.onnx"
    changed(graph, other, 1.01, every=2)  # a normalisation takes out what scales all of them
    found = polygraphy(other, *files, tmp_path / f"{subgraph}_output.json")
    assert found.returncode != 0 and "FAILED" in found.stdout + found.stderr


@pytest.mark.slow
def test_polygraphys_files_have_commands_that_hold_the_reference(
    run: Verification, tmp_path: Path
) -> None:
    pytest.importorskip("polygraphy")
    write_polygraphy(tmp_path, run.bundle, run.tensors, FP32)
    names = {path.name for path in tmp_path.iterdir()}
    for name in SUBGRAPHS:
        assert {f"{name}_input.json", f"{name}_output.json"} <= names
    lines = (tmp_path / "commands.txt").read_text().splitlines()
    exact = next(one for one in lines if "decoder_reference.json" in one)
    assert exact.startswith("polygraphy run BUNDLE/decoder.onnx --onnxrt --load-inputs")
    assert "--rtol 0 --atol" in exact and "restored:" in exact
    arguments = exact.replace("BUNDLE", str(run.bundle.path)).split()[2:]
    arguments = [str(tmp_path / a) if a.endswith(".json") else a for a in arguments]
    found = polygraphy(*[a for a in arguments if a != "--onnxrt"])
    assert found.returncode == 0, found.stdout[-2000:]


def test_a_weight_that_is_a_thousandth_off_is_found(
    run: Verification, tiny: Keep, tiny_bundle: Path, tmp_path: Path
) -> None:
    right = check_weights(run.bundle, tiny)
    assert [check.subgraph for check in right] == list(run.bundle.subgraphs)
    assert all(check.share > 0.9 and not check.different for check in right), right
    for index in (0, -1):
        folder = tmp_path / f"bundle{index}"
        shutil.copytree(tiny_bundle, folder)
        name = changed(folder / "gain_net.onnx", folder / "gain_net.onnx", 1.001, index)
        (found,) = [c for c in check_weights(_unsealed(folder), tiny) if c.different]
        assert found.subgraph == "gain_net" and set(found.different) == {name}
        assert found.different[name] == pytest.approx(1e-3, rel=0.1)
        assert f"1 differ: {name} by 1.0e-03" in found.statement()
        result = replace(run.result, weights=[found.__dict__])
        (failed,) = judge(result, FP32).failed
        assert failed.where == "gain_net.weights" and name in failed.detail


def test_weights_in_half_are_compared_with_the_rounded_ones(
    tiny: Keep, tiny_bundle: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "half"
    shutil.copytree(tiny_bundle, folder)
    bundle = load_bundle(folder)
    spec = convert_subgraph(folder, "hq_encoder", bundle.subgraphs["hq_encoder"], "fp16")
    assert spec.sha256 != bundle.subgraphs["hq_encoder"].sha256
    checks = {c.subgraph: c for c in check_weights(_unsealed(folder), tiny)}
    assert checks["hq_encoder"].compared > 10 and not checks["hq_encoder"].different
    name = changed(folder / "hq_encoder.onnx", folder / "hq_encoder.onnx", 1.002)
    checks = {c.subgraph: c for c in check_weights(_unsealed(folder), tiny)}
    assert set(checks["hq_encoder"].different) == {name}


def _unsealed(folder: Path):
    """A bundle whose graphs were changed; their hashes are written anew."""
    from keeprt.engine.bundle.load import file_sha256, parse_manifest

    file = folder / MANIFEST
    manifest = parse_manifest(file.read_text(), file)
    specs = {
        name: replace(
            spec,
            sha256=file_sha256(folder / spec.file),
            size_bytes=(folder / spec.file).stat().st_size,
        )
        for name, spec in manifest.subgraphs.items()
    }
    file.write_text(replace(manifest, subgraphs=specs).to_json())
    return load_bundle(folder)


def test_a_pack_judges_as_the_reference_does(
    pack: Path, run: Verification, tiny_bundle: Path
) -> None:
    result, limits = judge_by_pack(pack, tiny_bundle, RUNTIME, Outputs())
    assert judge(result, limits).passed and result.answers == dict.fromkeys(SUBGRAPHS, 1)
    assert [row.free for row in result.frames] == [row.free for row in run.result.frames]
    assert result.notes["pack_sha256"] == read_pack(pack).digest


def test_a_pack_finds_a_wrong_bundle(pack: Path, broken: Callable[[str], tuple[Path, str]]) -> None:
    folder, _ = broken("decoder")
    result, limits = judge_by_pack(pack, folder, RUNTIME, Outputs())
    assert "decoder" in {c.where.partition(".")[0] for c in judge(result, limits).failed}


def test_a_changed_pack_and_one_of_other_weights_are_refused(
    pack: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    spoiled = tmp_path / "spoiled.zip"
    with zipfile.ZipFile(pack) as old, zipfile.ZipFile(spoiled, "w") as new:
        for index, name in enumerate(old.namelist()):
            content = bytearray(old.read(name))
            if index == 1:
                content[-1] ^= 1
            new.writestr(name, bytes(content))
    with pytest.raises(UsageError, match="an array does not have the hash of its name"):
        read_pack(spoiled)
    (tmp_path / "no.zip").write_bytes(b"PK nothing")
    with pytest.raises(UsageError, match="is no golden pack, or is damaged"):
        read_pack(tmp_path / "no.zip")
    folder = tmp_path / "other"
    shutil.copytree(tiny_bundle, folder)
    manifest = replace(load_bundle(folder).manifest, weights_sha256="0" * 64)
    (folder / MANIFEST).write_text(manifest.to_json())
    with pytest.raises(UsageError, match="its weights_sha256 is not the bundle's"):
        judge_by_pack(pack, folder, RUNTIME, Outputs())


def test_answers_that_vary_are_counted(run: Verification) -> None:
    class Wavering:
        calls = 0

        def bind(self, subgraph, inputs, outputs):  # type: ignore[no-untyped-def]
            def fill() -> None:
                Wavering.calls += 1
                for value in outputs.values():
                    value[...] = np.array(Wavering.calls % 3).astype(value.dtype)

            return fill

    tensors = {"hq_encoder": run.tensors["hq_encoder"]}
    assert distinct_answers(run.bundle, Wavering(), tensors) == {"hq_encoder": 3}


@pytest.mark.slow
def test_a_result_and_a_pack_are_judged_where_torch_is_not_installed(
    pack: Path, run: Verification, tiny_bundle: Path, tmp_path: Path
) -> None:
    run.result.save(tmp_path / "r.json")
    code = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name == "torch" or name.startswith("torch."):
            raise ModuleNotFoundError(f"no {name}", name=name)
sys.meta_path.insert(0, Block())
from keeprt.engine.cli import main
main()
"""
    report = tmp_path / "r.html"
    for arguments in (
        ["--from", tmp_path / "r.json", "--report", report],
        [tiny_bundle, "--pack", pack, "--threads", "1", "--json", tmp_path / "p.json"],
    ):
        command = [sys.executable, "-c", code, "verify", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "passed: all" in done.stdout
    assert report.stat().st_size > 1000
    content = json.loads((tmp_path / "p.json").read_text())["result"]
    assert content["notes"]["pack"] == "golden.zip" and content["complete"]
