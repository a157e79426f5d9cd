"""Writing a bundle: complete under its final name or not at all."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from keeprt.engine.bundle.load import MANIFEST, load_bundle
from keeprt.engine.errors import BundleError
from keeprt.export import bundle_writer
from keeprt.export.bundle_writer import export_bundle
from keeprt.export.model import Keep
from keeprt.export.subgraphs import Subgraph

Save = Callable[[Subgraph, Path], None]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs with nothing in them: what they compute is no matter here."""
    monkeypatch.setattr(bundle_writer, "save_onnx", save_empty)


def save_empty(graph: Subgraph, file: Path) -> None:
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], graph.name, [], [])), file)


def write(network: Keep, path: Path, *, overwrite: bool = False, sha256: str = "a" * 64) -> None:
    export_bundle(
        network, path, weights_source="synthetic:3", weights_sha256=sha256, overwrite=overwrite
    )


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"<folder>"
        for path in sorted(folder.rglob("*"))
    }


def fail_at(name: str, error: BaseException) -> Save:
    def save(graph: Subgraph, file: Path) -> None:
        save_empty(graph, file)
        if graph.name == name:
            raise error

    return save


def test_a_bundle_says_what_it_is(tiny: Keep, tmp_path: Path) -> None:
    names: list[str] = []
    export_bundle(
        tiny,
        tmp_path / "deep" / "bundle",
        weights_source="synthetic:3",
        weights_sha256="b" * 64,
        progress=names.append,
    )
    bundle = load_bundle(tmp_path / "deep" / "bundle")
    manifest = bundle.manifest
    assert names == list(manifest.subgraphs)
    assert manifest.configuration["face_size"] == bundle.face_size == 128
    assert manifest.configuration == json.loads(json.dumps(tiny.config.as_dict()))
    assert (manifest.weights_source, manifest.weights_sha256) == ("synthetic:3", "b" * 64)
    assert manifest.precision == "fp32"
    assert {"keeprt", "torch", "onnx", "onnxscript"} <= set(manifest.tools)
    assert bundle.is_synthetic
    assert bundle.has_kalman
    mode = stat.S_IMODE((tmp_path / "deep" / "bundle").stat().st_mode)
    assert mode & 0o055 == 0o055, "other users may read a bundle"


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), RuntimeError("exporter"), OSError(28, "No space left")]
)
def test_an_interrupted_export_leaves_nothing(
    tiny: Keep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(bundle_writer, "save_onnx", fail_at("decoder", error))
    expected = BundleError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        write(tiny, tmp_path / "bundle")
    assert tree(tmp_path) == {}


def test_a_failed_export_leaves_the_old_bundle(
    tiny: Keep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tiny, tmp_path / "bundle")
    before = tree(tmp_path)
    monkeypatch.setattr(bundle_writer, "save_onnx", fail_at("decoder", KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write(tiny, tmp_path / "bundle", overwrite=True)
    assert tree(tmp_path) == before


def test_an_existing_bundle_is_replaced_only_on_demand(tiny: Keep, tmp_path: Path) -> None:
    write(tiny, tmp_path / "bundle")
    before = tree(tmp_path)
    with pytest.raises(BundleError, match="--force"):
        write(tiny, tmp_path / "bundle", sha256="c" * 64)
    assert tree(tmp_path) == before
    (tmp_path / "bundle" / "leftover.onnx").write_bytes(b"of an older network")
    write(tiny, tmp_path / "bundle", sha256="c" * 64, overwrite=True)
    assert load_bundle(tmp_path / "bundle").manifest.weights_sha256 == "c" * 64
    assert set(tree(tmp_path)) == set(before)


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_bundle_is_never_replaced(tiny: Keep, tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(b"dear to someone")
    (tmp_path / "file").write_bytes(b"too")
    before = tree(tmp_path)
    for name in ("photos", "file"):
        with pytest.raises(BundleError, match=name):
            write(tiny, tmp_path / name, overwrite=overwrite)
    assert tree(tmp_path) == before


def test_an_empty_folder_is_filled(tiny: Keep, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    write(tiny, tmp_path / "bundle")
    assert (tmp_path / "bundle" / MANIFEST).is_file()


def test_a_place_that_cannot_be_written_is_named(tiny: Keep, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BundleError, match="file"):
        write(tiny, tmp_path / "file" / "bundle")
    assert set(tree(tmp_path)) == {"file"}
