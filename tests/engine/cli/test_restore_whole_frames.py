"""`keeprt restore` on whole frames, as a user types it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import pytest

from keeprt.engine.cli.restore import expected_frames
from keeprt.engine.media import VideoInfo
from keeprt.engine.pipeline import RestoreOptions
from tests.engine.media.clips import packets, times
from tests.engine.pipeline_clips import background, one_face, two_faces_then_cut, write_clip

pytest.importorskip("skimage")

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def restore(keeprt: Command) -> Command:
    return partial(keeprt, "restore")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "restored.mp4"


def test_a_detector_that_is_none_is_said_before_the_network_is_loaded(
    restore: Command, tmp_path: Path, out: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[object] = []
    monkeypatch.setattr("keeprt.engine.cli.restore._load", lambda *_, **__: loaded.append(0))
    source = write_clip(tmp_path / "in.mp4", [background(64, 64)] * 3)
    (tmp_path / "bad.onnx").write_text("no model")
    code, _, said = restore(
        source, out, "--bundle", tiny_bundle, "--detector", tmp_path / "bad.onnx"
    )
    assert code == 2 and "not an ONNX model" in said and not loaded
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, _, said = restore(source, out, "--bundle", tiny_bundle, "--backend", "rtx")
    assert code == 2 and "finding faces needs ONNX Runtime: pip install" in said and not loaded


def test_restores_whole_frames_and_says_what_it_found(
    restore: Command, tmp_path: Path, out: Path, tiny_bundle: Path
) -> None:
    source = write_clip(tmp_path / "in.mp4", two_faces_then_cut(8, 5), audio=True)
    code, printed, said = restore(source, out, "--bundle", tiny_bundle, "--threads", 1)
    assert code == 0 and "13 frames" in printed
    for text in (
        "track 1: frames 0 to 7, 8 restored",
        "track 2: frames 0 to 7, 8 restored",
        "track 3: frames 8 to 12, 5 restored",
        "cuts at frames 8\n",
    ):
        assert text in said
    assert "warning" not in said
    assert times(out) == times(source) and packets(out, "audio") == packets(source, "audio")


def test_no_face_is_a_warning_in_one_line_and_no_error(
    restore: Command, tmp_path: Path, out: Path
) -> None:
    source = write_clip(tmp_path / "in.mp4", [background(180, 320)] * 3)
    code, _, said = restore(source, out, "--bypass")
    assert code == 0 and out.exists()
    assert [line for line in said.splitlines() if "warning" in line] == [
        "warning: no face was found; the video was re-encoded as it is"
    ]


def test_faces_that_are_too_small_are_named_as_such(
    restore: Command, tmp_path: Path, out: Path
) -> None:
    source = write_clip(tmp_path / "in.mp4", one_face(4))
    code, _, said = restore(source, out, "--bypass", "--min-size", 300)
    assert code == 0 and "none of 4 detections" in said and "--min-size" in said


def test_landmarks_say_whether_they_were_written_or_reused(
    restore: Command, tmp_path: Path, out: Path
) -> None:
    source, file = write_clip(tmp_path / "in.mp4", one_face(4)), tmp_path / "faces.jsonl"
    for word in ("written to", "reused from"):
        code, _, said = restore(source, out, "--bypass", "--landmarks", file, "--overwrite")
        assert code == 0 and f"landmarks {word} {file}" in said


@pytest.mark.parametrize(
    "wrong",
    [
        ("--bypass", "--carry-state"),
        ("--bypass", "--aligned"),
        ("--aligned", "--scale", "2"),
        ("--aligned", "--faces", "largest"),
        ("--bypass", "--faces", "best"),
        ("--bypass", "--strength", "2"),
        ("--bypass", "--upscaler", "x.onnx"),
        ("--bypass", "--detector", "missing.onnx"),
        ("--bypass", "--lookahead", "4"),
        ("--bypass", "--crf", "20", "--bitrate", "100000"),
        ("--mode", "fast"),
    ],
)
def test_options_that_cannot_be_honoured(
    restore: Command, tmp_path: Path, out: Path, tiny_bundle: Path, wrong: tuple[str, ...]
) -> None:
    source = write_clip(tmp_path / "in.mp4", one_face(2))
    code, printed, said = restore(source, out, "--bundle", tiny_bundle, *wrong)
    assert code == 2 and not printed and not list(out.parent.iterdir())
    assert sum(line.startswith("error: ") for line in said.splitlines()) == 1


@pytest.mark.parametrize(
    ("start", "duration", "frames"), [(0, None, 100), (1, None, 75), (1, 2, 50), (3.6, 2, 10)]
)
def test_how_many_frames_a_part_has(start: float, duration: float | None, frames: int) -> None:
    info = VideoInfo("x", 64, 48, "yuv420p", 8, Fraction(1, 25), Fraction(25), frame_count=100)
    options = RestoreOptions(start_s=start, duration_s=duration)
    assert expected_frames(info, options) == frames
