"""A whole video, stage by stage, on a short one; and both ways of compositing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keeprt.benchmarks.bench import video
from keeprt.benchmarks.bench.rivals.compositing import compositing_times
from tests.benchmarks.bench.test_command import bench  # noqa: F401
from tests.engine.pipeline_clips import astronaut_at, one_face, write_clip


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    class Found:
        def detect(self, rgb: object) -> list[object]:
            return [astronaut_at(70, 30, 180)]

    monkeypatch.setattr("keeprt.engine.pipeline.looking.load_detector", lambda options: Found())
    monkeypatch.setattr(video, "COMPOSITINGS", 1)
    return write_clip(tmp_path / "clip.mkv", one_face(4), codec="ffv1")


@pytest.mark.slow
def test_every_stage_from_decode_to_encode_is_timed(
    bench: Any,  # noqa: F811
    clip: Path,
    tiny_bundle: Path,
    tmp_path: Path,
) -> None:
    file, page = tmp_path / "v.json", tmp_path / "v.html"
    code, printed, errors = bench(
        *(tiny_bundle, "--video", clip, "--rounds", 2, "--threads", 1),
        *("--json", file, "--report", page),
    )
    assert code == 0, errors
    found = json.loads(file.read_text())["result"]["video"]
    assert (found["video"], found["frames"], found["faces"]) == ("clip.mkv", 4, 1)
    assert len(found["rounds"]) == 2
    stages = {"decode", "detect", "track", "align", "composite", "encode", "overlapping"}
    assert stages < set(found["rounds"][0]), found["rounds"][0]
    assert all(ms >= 0 for one in found["rounds"] for ms in one.values())
    assert set(found["compositing"]["360"]) == {"native 4:2:0", "RGB", "authors' way"}
    for text in ("sum, one thread", "overlapping", "authors' way", "360 x 360"):
        assert text in printed
    assert "From decode to encode" in page.read_text() and str(tmp_path) not in page.read_text()


def test_what_a_video_cannot_take_is_refused(
    bench: Any,  # noqa: F811
    clip: Path,
    tiny_bundle: Path,
) -> None:
    code, _, errors = bench(tiny_bundle, "--video", clip, "--faces", 2)
    assert code == 2 and "--faces has no effect with --video" in errors


def test_the_authors_way_takes_the_whole_frame() -> None:
    times = compositing_times(180, 1)
    assert times["authors' way"] > times["native 4:2:0"] > 0
