"""`keeprt restore --receipt`: started twice, done once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.engine.media.clips import Clip, make_clip

CLIP = Clip(pts=(0, 1, 2), width=64, height=64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    make_clip(tmp_path / "in" / "a.mp4", CLIP)
    return tmp_path


def arguments(folder: Path, *more: str) -> list[str]:
    receipt = folder / "out" / ".a.mp4.keeprt.json"
    named = [str(folder / "in" / "a.mp4"), str(folder / "out" / "a.mp4"), "--receipt", str(receipt)]
    return ["restore", *named, "--bypass", *more]


def receipt(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "out" / ".a.mp4.keeprt.json").read_text()))


def test_a_file_is_restored_once_for_one_recipe(keeprt: Any, folder: Path) -> None:
    code, printed, _ = keeprt(*arguments(folder))
    assert code == 0 and "3 frames" in printed
    assert receipt(folder)["status"] == "done"
    made = (folder / "out" / "a.mp4").stat().st_mtime_ns
    code, printed, _ = keeprt(*arguments(folder, "--threads", "1"))
    assert code == 0 and "was restored before: 3 frames" in printed
    assert (folder / "out" / "a.mp4").stat().st_mtime_ns == made
    code, printed, _ = keeprt(*arguments(folder, "--crf", "30"))
    assert code == 0 and "wrote" in printed
    (folder / "out" / "a.mp4").write_bytes(b"damaged")
    code, printed, _ = keeprt(*arguments(folder, "--crf", "30"))
    assert code == 0 and "wrote" in printed


def test_an_archive_believes_the_receipt(keeprt: Any, folder: Path) -> None:
    assert keeprt(*arguments(folder))[0] == 0
    code, printed, _ = keeprt("archive", str(folder / "in"), str(folder / "out"), "--bypass")
    assert code == 0 and "0 restored, 1 done before" in printed


def test_what_fails_fails_again_and_succeeds_when_it_is_mended(keeprt: Any, folder: Path) -> None:
    (folder / "in" / "a.mp4").write_bytes(b"no video")
    for _ in range(2):
        code, _, error = keeprt(*arguments(folder))
        assert code == 2 and "as a video" in error
        assert receipt(folder)["status"] == "failed"
    make_clip(folder / "in" / "a.mp4", CLIP)
    assert keeprt(*arguments(folder))[0] == 0
    assert {path.name for path in (folder / "out").iterdir()} == {"a.mp4", ".a.mp4.keeprt.json"}


@pytest.mark.parametrize("flag", ["--detector", "--identity"])
def test_a_network_that_is_not_there_leaves_no_receipt(
    keeprt: Any, folder: Path, flag: str
) -> None:
    code, _, error = keeprt(*arguments(folder, flag, str(folder / "gone.onnx")))
    assert code == 2 and "gone.onnx" in error
    assert list((folder / "out").iterdir()) == []


def test_what_is_not_ours_stays(keeprt: Any, folder: Path) -> None:
    (folder / "out" / "a.mp4").write_bytes(b"somebody's")
    code, _, error = keeprt(*arguments(folder))
    assert code == 2 and "has no receipt: --overwrite replaces it" in error
    assert (folder / "out" / "a.mp4").read_bytes() == b"somebody's"
    assert keeprt(*arguments(folder, "--overwrite"))[0] == 0
    (folder / "out" / ".a.mp4.keeprt.json").write_text("a letter")
    code, _, error = keeprt(*arguments(folder))
    assert code == 2 and "is no receipt" in error


def test_pipes_and_folders_have_no_receipt(keeprt: Any, folder: Path) -> None:
    command = arguments(folder)
    command[2] = str(folder / "pictures")
    code, _, error = keeprt(*command)
    assert code == 2 and "--receipt has no effect where OUT is a folder of images" in error
    command[2] = "-"
    assert "--receipt has no effect where" in keeprt(*command, "--format", "matroska")[2]
