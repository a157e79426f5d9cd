"""A bundle is untrusted: whatever is wrong with it is refused, and the file is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keeprt.engine.bundle.load import MANIFEST, load_bundle
from keeprt.engine.errors import BundleError
from tests.engine.fake_bundles import GRAPHS, Content, change, drop, edit_and_seal, make_bundle

FILES = [f"{name}.onnx" for name in GRAPHS]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle")


def refused(folder: Path, named: str | Path, match: str = "") -> str:
    with pytest.raises(BundleError, match=match) as caught:
        load_bundle(folder)
    message = str(caught.value)
    assert str(named) in message
    assert "\n" not in message
    return message


def test_a_sound_bundle_loads(bundle: Path) -> None:
    loaded = load_bundle(str(bundle))
    assert set(loaded.subgraphs) == set(GRAPHS)
    assert loaded.face_size == 64
    assert loaded.has_kalman
    for name, (inputs, outputs) in GRAPHS.items():
        spec = loaded.subgraphs[name]
        assert (spec.inputs, spec.outputs) == (inputs, outputs)
        assert loaded.file(name) == bundle / f"{name}.onnx"


def test_the_seal_does_not_depend_on_how_the_manifest_is_laid_out(bundle: Path) -> None:
    content = json.loads((bundle / MANIFEST).read_text())
    (bundle / MANIFEST).write_text(json.dumps(dict(reversed(content.items()))))
    load_bundle(bundle)


def test_identity_follows_the_graphs_alone(bundle: Path, tmp_path: Path) -> None:
    other = make_bundle(tmp_path / "other", weights_sha256="e" * 64)
    assert load_bundle(bundle).identity == load_bundle(other).identity
    (other / "decoder.onnx").write_bytes(b"another")
    sha = "f54a9fb0a5b3bd8f0b9cbd3ef9ea4b24e63d5e1db6b0ac6c8f8d9b8c9e0bfb63"
    edit_and_seal(other, change("subgraphs", "decoder", "size_bytes", to=7))
    edit_and_seal(other, change("subgraphs", "decoder", "sha256", to=sha))
    refused(other, other / "decoder.onnx", "SHA-256")


# Files


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("keep", [0, 1, -1])
def test_a_truncated_graph(bundle: Path, name: str, keep: int) -> None:
    file = bundle / name
    file.write_bytes(file.read_bytes()[:keep])
    refused(bundle, file, "truncated")


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_anywhere_in_a_graph(bundle: Path, name: str) -> None:
    file = bundle / name
    sound = file.read_bytes()
    for position in (0, len(sound) // 2, len(sound) - 1):
        damaged = bytearray(sound)
        damaged[position] ^= 1
        file.write_bytes(damaged)
        refused(bundle, file, "SHA-256")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_graph(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    refused(bundle, bundle / name, "missing")


def test_a_folder_in_place_of_a_graph(bundle: Path) -> None:
    (bundle / "decoder.onnx").unlink()
    (bundle / "decoder.onnx").mkdir()
    refused(bundle, bundle / "decoder.onnx", "missing")


def test_graphs_exchanged(bundle: Path) -> None:
    shutil.copyfile(bundle / "lq_encoder.onnx", bundle / "hq_encoder.onnx")
    refused(bundle, bundle / "hq_encoder.onnx", "SHA-256")


@pytest.mark.parametrize("target", ["same file", "outside", "nowhere"])
def test_a_link_in_place_of_a_graph(bundle: Path, tmp_path: Path, target: str) -> None:
    file = bundle / "decoder.onnx"
    outside = tmp_path / "outside.onnx"
    shutil.copyfile(file, outside)
    shutil.copyfile(file, bundle / "real.onnx")
    file.unlink()
    to = {"same file": bundle / "real.onnx", "outside": outside, "nowhere": tmp_path / "nowhere"}
    file.symlink_to(to[target])
    refused(bundle, file, "link")


@pytest.mark.parametrize(
    "escape",
    [
        "../outside.onnx",
        "{tmp}/outside.onnx",
        "/etc/passwd",
        "sub/decoder.onnx",
        "./decoder.onnx",
        "..",
        ".",
        "",
        "decoder.onnx\n",
        "decoder\x00.onnx",
        "..\\outside.onnx",
        "C:decoder.onnx",
        "~/outside.onnx",
    ],
)
def test_a_path_out_of_the_bundle(bundle: Path, tmp_path: Path, escape: str) -> None:
    shutil.copyfile(bundle / "decoder.onnx", tmp_path / "outside.onnx")
    (bundle / "sub").mkdir()
    shutil.copyfile(bundle / "decoder.onnx", bundle / "sub" / "decoder.onnx")
    name = escape.format(tmp=tmp_path)
    edit_and_seal(bundle, change("subgraphs", "decoder", "file", to=name))
    refused(bundle, bundle / MANIFEST, "outside the bundle")


# The manifest as a file


@pytest.mark.slow
def test_every_flipped_bit_in_the_manifest(bundle: Path) -> None:
    file = bundle / MANIFEST
    sound = file.read_bytes()
    for position in range(len(sound)):
        damaged = bytearray(sound)
        damaged[position] ^= 1 << (position % 7)
        file.write_bytes(damaged)
        try:
            load_bundle(bundle)
        except BundleError as error:
            assert MANIFEST in str(error)
        else:
            # Only white space between values may change without changing what is said.
            assert json.loads(damaged) == json.loads(sound)


@pytest.mark.parametrize("keep", [0, 1, 0.5, -3])
def test_a_truncated_manifest(bundle: Path, keep: float) -> None:
    file = bundle / MANIFEST
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * keep) if keep == 0.5 else int(keep)])
    refused(bundle, file, "no JSON")


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        b"3",
        b'"keeprt-bundle"',
        b"{}",
        b'{"format": "keeprt-bundle"}',
        b'{"format": "keeprt-bundle", "format_version": 1}',
        b"[" * 100_000,
        b'{"format_version": ' + b"9" * 10_000 + b"}",
        b'{"format": "keeprt-bundle", "format_version": NaN}',
        b'{"format": "keeprt-bundle", "format_version": 1e999}',
    ],
    ids=lambda text: text[:40].decode("latin-1"),
)
def test_what_is_no_manifest(bundle: Path, text: bytes) -> None:
    (bundle / MANIFEST).write_bytes(text)
    refused(bundle, bundle / MANIFEST)


def test_what_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for name in ("empty", "file", "nowhere"):
        refused(tmp_path / name, tmp_path / name, "no bundle")


def test_an_edit_without_the_seal(bundle: Path) -> None:
    file = bundle / MANIFEST
    file.write_text(file.read_text().replace("synthetic:3", "official KEEP"))
    refused(bundle, file, "seal")


# The manifest's content, sealed anew


@pytest.mark.parametrize("version", [2, 99, 10**30])
def test_a_newer_format(bundle: Path, version: int) -> None:
    edit_and_seal(bundle, change("format_version", to=version))
    refused(bundle, bundle / MANIFEST, "update keeprt")


@pytest.mark.parametrize("version", [0, -1, "1", 1.0, None, [1], True])
def test_a_format_version_that_is_none(bundle: Path, version: Any) -> None:
    edit_and_seal(bundle, change("format_version", to=version))
    refused(bundle, bundle / MANIFEST, "format_version")


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_a_network_that_lacks_a_subgraph(bundle: Path, name: str) -> None:
    edit_and_seal(bundle, drop("subgraphs", name))
    refused(bundle, bundle / MANIFEST, "lacks|makes")


MALFORMED: dict[str, Callable[[Content], object]] = {
    "no subgraphs": drop("subgraphs"),
    "subgraphs a list": change("subgraphs", to=[]),
    "subgraph a number": change("subgraphs", "decoder", to=3),
    "no configuration": drop("configuration"),
    "precision a number": change("precision", to=32),
    "no weights": drop("weights_sha256"),
    "no file": drop("subgraphs", "decoder", "file"),
    "file a list": change("subgraphs", "decoder", "file", to=["decoder.onnx"]),
    "hash of a number": change("subgraphs", "decoder", "sha256", to=5),
    "size a text": change("subgraphs", "decoder", "size_bytes", to="1"),
    "no inputs": drop("subgraphs", "decoder", "inputs"),
    "input a text": change("subgraphs", "decoder", "inputs", 0, to="latent"),
    "no dtype": drop("subgraphs", "decoder", "inputs", 0, "dtype"),
    "unknown dtype": change("subgraphs", "decoder", "inputs", 0, "dtype", to="object"),
    "shape a text": change("subgraphs", "decoder", "inputs", 0, "shape", to="faces"),
    "axis 0": change("subgraphs", "decoder", "inputs", 0, "shape", 1, to=0),
    "axis negative": change("subgraphs", "decoder", "inputs", 0, "shape", 1, to=-4),
    "axis a fraction": change("subgraphs", "decoder", "inputs", 0, "shape", 1, to=4.0),
    "axis true": change("subgraphs", "decoder", "inputs", 3, "shape", 1, to=True),
    "axis null": change("subgraphs", "decoder", "inputs", 0, "shape", 1, to=None),
    "axis a list": change("subgraphs", "decoder", "inputs", 0, "shape", 1, to=[4]),
    "axis a sentence": change("subgraphs", "decoder", "inputs", 0, "shape", 0, to="x; y"),
    "axis unknown": change("subgraphs", "decoder", "inputs", 0, "shape", 0, to="people"),
    "two of a name": change("subgraphs", "decoder", "inputs", 2, "name", to="latent"),
}


@pytest.mark.parametrize("edit", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_content(bundle: Path, edit: Callable[[Content], object]) -> None:
    edit_and_seal(bundle, edit)
    refused(bundle, bundle / MANIFEST)


@pytest.mark.parametrize("size", [-1, 0, 10**30])
def test_a_size_that_is_not_the_files(bundle: Path, size: int) -> None:
    edit_and_seal(bundle, change("subgraphs", "decoder", "size_bytes", to=size))
    refused(bundle, bundle / "decoder.onnx", "truncated")


MISMATCHED = {
    f"{graph}, {side} {index}, {what}": change("subgraphs", graph, side, index, what, to=value)
    for graph, side, index, what, value in [
        ("lq_encoder", "inputs", 0, "shape", ["faces", 3, 32, 32]),
        ("lq_encoder", "inputs", 0, "name", "picture"),
        ("lq_encoder", "inputs", 0, "dtype", "float16"),
        ("lq_encoder", "outputs", 1, "shape", ["faces", 9, 4, 4]),
        ("hq_encoder", "inputs", 0, "shape", ["faces", 3, 32, 32]),
        ("hq_encoder", "outputs", 0, "shape", ["faces", 9, 2, 2]),
        ("gain_net", "inputs", 0, "shape", ["faces", "frames", 9, 2, 2]),
        ("gain_net", "inputs", 0, "shape", ["faces", 5, 4, 2, 2]),
        ("gain_net", "outputs", 0, "shape", ["faces", "selected", 1, 4, 4]),
        ("flow_features", "inputs", 0, "shape", ["faces", 3, 32, 32]),
        ("flow_features", "outputs", 0, "shape", ["faces", 9, 8, 8]),
        ("flow_matching", "inputs", 1, "shape", ["faces", 9, 8, 8]),
        ("flow_matching", "outputs", 0, "shape", ["faces", 2, 4, 4]),
        ("flow_matching", "outputs", 1, "shape", ["faces", 9, 8, 8]),
        ("decoder", "inputs", 3, "shape", ["faces", 4, 2, 2]),
        ("decoder", "inputs", 5, "shape", ["faces", 9, 4, 4]),
        ("decoder", "inputs", 5, "name", "previous_cache_8"),
        ("decoder", "inputs", 0, "shape", [1, 4, 2, 2]),
        ("decoder", "outputs", 0, "shape", ["faces", 3, 128, 128]),
        ("decoder", "outputs", 0, "dtype", "int64"),
        ("decoder", "outputs", 1, "dtype", "float32"),
        ("decoder", "outputs", 1, "name", "indices"),
    ]
}


@pytest.mark.parametrize("edit", MISMATCHED.values(), ids=MISMATCHED.keys())
def test_subgraphs_that_do_not_fit_together(
    bundle: Path, edit: Callable[[Content], object]
) -> None:
    """Graphs of two networks in one folder, each true to its own border."""
    edit_and_seal(bundle, edit)
    refused(bundle, bundle / MANIFEST)
