"""Videos whose restoration fails, is interrupted or was asked for in vain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keeprt.engine.errors import KeeprtError, UsageError
from keeprt.engine.pipeline import RestoreOptions, restore_video
from keeprt.engine.restorer import Restorer
from tests.engine.pipeline.videos import (
    scripted,
)
from tests.engine.pipeline_clips import (
    one_face,
    write_clip,
)

pytest.importorskip("skimage")
pytestmark = pytest.mark.usefixtures("no_thread_is_left")


class OnPurposeError(Exception):
    pass


def fail(*_: Any, **__: Any) -> Any:
    raise OnPurposeError("on purpose")


@pytest.mark.parametrize(
    "part",
    [
        "keeprt.engine.faces.cuts.thumbnail",
        "keeprt.engine.pipeline.aligning.crop_face",
        "keeprt.engine.restorer.Restorer.submit",
        "keeprt.engine.pipeline.painting.composite_planes",
        "keeprt.engine.media.writing.video_sink.VideoSink.write",
        "keeprt.engine.media.writing.video_sink.VideoSink._mux",
        "keeprt.engine.media.writing.video_sink.VideoSink._last_packets",
    ],
)
def test_a_failure_anywhere_is_reported_and_leaves_nothing(
    tmp_path: Path, restorer: Restorer, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    source, out = write_clip(tmp_path / "in.mp4", one_face(40)), tmp_path / "out"
    out.mkdir()
    monkeypatch.setattr(part, fail)
    beside = {"landmarks": out / "faces", "save_crops": out / "crops"}
    options = RestoreOptions(detector=scripted(70, 30, 180), **beside)
    with pytest.raises(OnPurposeError, match="on purpose"):
        restore_video(source, out / "out.mp4", restorer, options)
    assert list(out.iterdir()) == []


def test_a_damaged_video_ends_the_run(tmp_path: Path, restorer: Restorer) -> None:
    source, out = write_clip(tmp_path / "in.mkv", one_face(40)), tmp_path / "out"
    out.mkdir()
    data = source.read_bytes()
    source.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(KeeprtError, match=r"cut short|damaged"):
        restore_video(source, out / "out.mp4", restorer)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("at", [1, 5])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, restorer: Restorer, at: int) -> None:
    source, out = write_clip(tmp_path / "in.mp4", one_face(40)), tmp_path / "out"
    out.mkdir()
    done = []

    def on_frame() -> None:
        done.append(0)
        if len(done) == at:
            raise KeyboardInterrupt

    options = RestoreOptions(detector=scripted(70, 30, 180), landmarks=out / "faces", lookahead=0)
    with pytest.raises(KeyboardInterrupt):
        restore_video(source, out / "out.mp4", restorer, options, on_frame)
    assert list(out.iterdir()) == [] and len(done) == at


@pytest.mark.parametrize(
    "wrong",
    [
        {"strength": 1.5},
        {"strength": float("nan")},
        {"scale": 0},
        {"scale": 9},
        {"faces": "some"},
        {"detect_every": 0},
        {"detect_every": 30},
        {"lookahead": -1},
        {"detect_side": 3},
        {"min_size": -1.0},
        {"upscaler": Path("x.onnx")},
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        RestoreOptions(**wrong)
