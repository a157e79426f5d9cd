"""The command as a user types it: results, exit codes, one line per error, nothing left behind."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from keeprt.engine.bundle.load import MANIFEST, load_bundle
from keeprt.engine.media import open_source
from tests.engine.media.clips import Clip, make_clip, packets, times

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An empty folder for outputs, so that what is left behind can be seen."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def restore(keeprt: Command, source: Path, target: Path, bundle: Path, *more: str) -> tuple:
    return keeprt("restore", source, target, "--aligned", "--bundle", bundle, *more)


def assert_one_line(result: tuple[int, str, str], *said: str) -> None:
    code, printed, errors = result
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert code == 2, errors
    assert len(lines) == 1 and "Traceback" not in errors
    assert not printed
    for text in said:
        assert text in lines[0]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stream", "clip"])
def test_restores_a_video_with_its_times_and_sound(
    keeprt: Command, tmp_path: Path, out: Path, tiny_bundle: Path, mode: str
) -> None:
    vfr = Clip(pts=(0, 2, 3, 7, 8, 9), audio=True, width=96, height=96)
    source = make_clip(tmp_path / "face.mp4", vfr)
    code, printed, _ = restore(keeprt, source, out / "restored.mp4", tiny_bundle, "--mode", mode)
    assert code == 0 and "6 frames" in printed
    assert [p.name for p in out.iterdir()] == ["restored.mp4"]
    assert times(out / "restored.mp4") == times(source)
    assert packets(out / "restored.mp4", "audio") == packets(source, "audio")
    with open_source(out / "restored.mp4") as restored:
        assert (restored.info.width, restored.info.height) == (128, 128)


@pytest.mark.slow
def test_odd_and_small_pictures_are_resized_to_the_network(
    keeprt: Command, tmp_path: Path, out: Path, tiny_bundle: Path
) -> None:
    source = make_clip(tmp_path / "odd.mp4", Clip(width=33, height=51, pixel_format="yuv444p"))
    code, _, errors = restore(keeprt, source, out / "restored.mp4", tiny_bundle)
    assert code == 0, errors
    with open_source(out / "restored.mp4") as restored:
        assert {frame.rgb().shape for frame in restored} == {(128, 128, 3)}


@pytest.mark.slow
def test_modes_differ_and_carrying_the_state_matters(
    keeprt: Command, tmp_path: Path, out: Path, tiny_bundle: Path
) -> None:
    source = make_clip(tmp_path / "face.mp4", Clip(width=128, height=128))
    pictures = []
    for name, options in {
        "chunks": ["--mode", "clip", "--chunk", "4"],
        "carried": ["--mode", "clip", "--chunk", "4", "--carry-state"],
    }.items():
        restore(keeprt, source, out / name, tiny_bundle, *options)
        with open_source(out / name) as frames:
            pictures.append([frame.rgb() for frame in frames])
    chunks, carried = pictures
    assert all(np.array_equal(a, b) for a, b in zip(chunks[:4], carried[:4], strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(chunks[4:], carried[4:], strict=True))


def _garbage(path: Path) -> Path:
    path.write_bytes(b"no video " * 500)
    return path


def _truncated(path: Path) -> Path:
    data = make_clip(path, Clip(pts=tuple(range(60)))).read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


def _sound_only(path: Path) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        frame.sample_rate = 48000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def _another_size_in_the_middle(path: Path) -> Path:
    import cv2

    folder = path.with_suffix("")
    folder.mkdir()
    for index, side in enumerate((64, 64, 32, 64)):
        cv2.imwrite(str(folder / f"{index}.png"), np.full((side, side, 3), 99, np.uint8))
    return folder


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path, "no such file"),
        (_garbage, "bad.mp4"),
        (_truncated, "bad.mp4"),
        (_sound_only, "bad.mp4"),
        (_another_size_in_the_middle, "32"),
    ],
    ids=["missing", "no video", "truncated", "no frames", "another size"],
)
def test_bad_videos_are_one_line_and_leave_nothing(
    keeprt: Command,
    tmp_path: Path,
    out: Path,
    tiny_bundle: Path,
    make: Callable[[Path], Path],
    said: str,
) -> None:
    source = make(tmp_path / "bad.mp4")
    assert_one_line(restore(keeprt, source, out / "restored.mp4", tiny_bundle), said)
    assert not list(out.iterdir())


@pytest.mark.parametrize("where", ["missing/restored.mp4", "file/restored.mp4", "restored.xyz"])
def test_an_output_that_cannot_be_written(
    keeprt: Command, tmp_path: Path, out: Path, tiny_bundle: Path, where: str
) -> None:
    source = make_clip(tmp_path / "face.mp4")
    (out / "file").write_text("not a folder")
    assert_one_line(restore(keeprt, source, out / where, tiny_bundle), where.split("/")[0])
    assert [path.name for path in out.iterdir()] == ["file"]


def _reseal(bundle: Path, change: Callable[[dict], None]) -> None:
    """Edits a manifest as somebody would who knows how to seal it."""
    manifest = load_bundle(bundle).manifest
    content = json.loads(manifest.to_json())
    change(content["subgraphs"])
    graphs = {
        name: dataclasses.replace(manifest.subgraphs[name], **graph)
        for name, graph in content["subgraphs"].items()
    }
    (bundle / MANIFEST).write_text(dataclasses.replace(manifest, subgraphs=graphs).to_json())


def _no_manifest(bundle: Path) -> None:
    (bundle / MANIFEST).unlink()


def _flipped_byte(bundle: Path) -> None:
    data = bytearray((bundle / "decoder.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / "decoder.onnx").write_bytes(data)


def _of_another_network(bundle: Path) -> None:
    _reseal(bundle, lambda graphs: graphs.pop("hq_encoder"))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_no_manifest, "manifest.json"),
        (_flipped_byte, "decoder.onnx"),
        (_of_another_network, "another network"),
    ],
)
def test_bad_bundles(
    keeprt: Command,
    tmp_path: Path,
    out: Path,
    tiny_bundle: Path,
    damage: Callable[[Path], None],
    said: str,
) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    damage(bundle)
    source = make_clip(tmp_path / "face.mp4")
    assert_one_line(restore(keeprt, source, out / "restored.mp4", bundle), said)
    assert_one_line(keeprt("inspect", bundle), said)
    assert not list(out.iterdir())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensors: tensors.pop("position_emb"), "position_emb"),
        (lambda tensors: tensors.update(stray=tensors["position_emb"]), "stray"),
    ],
    ids=["missing tensor", "extra tensor"],
)
def test_checkpoints_that_do_not_fit(
    keeprt: Command, tmp_path: Path, out: Path, change: Callable[[dict], object], said: str
) -> None:
    torch = pytest.importorskip("torch")
    from keeprt.export.weights.load import published_manifest

    one = torch.zeros(())
    tensors = {name: one.expand(shape) for name, shape in published_manifest()}
    change(tensors)
    torch.save(tensors, tmp_path / "weights.pth")
    result = keeprt("export", "--weights", tmp_path / "weights.pth", "--out", out / "bundle")
    assert_one_line(result, said)
    assert not list(out.iterdir())


def test_a_bundle_is_not_written_over_other_things(keeprt: Command, out: Path) -> None:
    pytest.importorskip("torch")
    (out / "precious.txt").write_text("mine")
    result = keeprt("export", "--weights", "synthetic:1", "--out", out, "--force")
    assert_one_line(result, str(out), "exists already")
    assert [path.name for path in out.iterdir()] == ["precious.txt"]


@pytest.mark.parametrize(
    "options", [("--mode", "sideways"), ("--window", "1"), ("--provider", "abacus")]
)
def test_bad_options(
    keeprt: Command, tmp_path: Path, out: Path, tiny_bundle: Path, options: tuple[str, str]
) -> None:
    source = make_clip(tmp_path / "face.mp4")
    assert_one_line(restore(keeprt, source, out / "restored.mp4", tiny_bundle, *options))
    assert not list(out.iterdir())


def test_interrupted_restore_leaves_nothing(
    keeprt: Command,
    tmp_path: Path,
    out: Path,
    tiny_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from keeprt.engine.devices.cpu.frames import CpuFrames

    frames, one_frame = [], CpuFrames.submit

    def interrupted(self: CpuFrames, *arguments: object) -> None:
        frames.append(arguments)
        if len(frames) == 4:
            raise KeyboardInterrupt
        one_frame(self, *arguments)

    monkeypatch.setattr(CpuFrames, "submit", interrupted)
    source = make_clip(tmp_path / "face.mp4")
    code, _, errors = restore(keeprt, source, out / "restored.mp4", tiny_bundle)
    assert code == 130 and "Traceback" not in errors
    assert not list(out.iterdir())


def test_a_failure_of_ours_is_exit_code_one(
    keeprt: Command, tmp_path: Path, out: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keeprt.engine.devices.cpu.frames import CpuFrames

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(CpuFrames, "submit", broken)
    source = make_clip(tmp_path / "face.mp4")
    code, _, errors = restore(keeprt, source, out / "restored.mp4", tiny_bundle)
    assert code == 1 and "RuntimeError: a bug" in errors and "Traceback" not in errors
    assert not list(out.iterdir())


def test_inspect_shows_every_subgraph_and_tensor(keeprt: Command, tiny_bundle: Path) -> None:
    code, printed, _ = keeprt("inspect", tiny_bundle)
    assert code == 0
    for word in ("lq_encoder", "flow_matching", "is_first", "faces", "synthetic:3", "margin"):
        assert word in printed


def test_version_and_an_example_for_every_command(keeprt: Command) -> None:
    from importlib.metadata import version

    assert version("keeprt") in keeprt("--version")[1]
    listed = keeprt("--help")[1]
    for command in ("demo", "export", "inspect", "restore"):
        assert command in listed
        assert f"Example: keeprt {command}" in keeprt(command, "--help")[1]
