"""Interlaced video: two moments in one frame, each restored by itself, nothing else changed."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np
import pytest
from numpy.typing import NDArray

from keeprt.engine.errors import KeeprtError, MediaError, UsageError
from keeprt.engine.media import SourceFrame, open_source
from keeprt.engine.pipeline import Encoding, RestoreOptions, restore_video
from keeprt.engine.pipeline.fields import FieldJoiner, split
from tests.engine.pipeline_clips import (
    KeptFrames,
    Scripted,
    astronaut_at,
    background,
    copied_planes,
    with_face,
    write_clip,
)

WIDTH, HEIGHT, SIDE, STEP = 320, 240, 160, 8
SCENE = background(HEIGHT, WIDTH)


def at_moment(moment: int) -> NDArray[np.uint8]:
    return with_face(SCENE, 40 + STEP * moment, 40, SIDE)


def combed(count: int, moving: bool = True) -> list[NDArray[np.uint8]]:
    """Frames whose even lines are of one moment, the odd ones of the next."""
    frames = []
    for n in range(count):
        frame = at_moment(2 * n * moving).copy()
        frame[1::2] = at_moment((2 * n + 1) * moving)[1::2]
        frames.append(frame)
    return frames


def interlaced(path: Path, pictures: list[Any], pixel_format: str = "yuv422p") -> Path:
    """Lossless H.264 that says of itself that it is interlaced, top field first."""
    with av.open(str(path), "w") as container:
        options = {"qp": "0", "preset": "ultrafast", "x264-params": "tff=1:log-level=none"}
        stream: Any = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixel_format
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=pixel_format)
            container.mux(stream.encode(top_first(frame)))
        container.mux(stream.encode())
    return path


def top_first(frame: av.VideoFrame) -> av.VideoFrame:
    """x264 goes by what the frame says of itself, and PyAV cannot say it."""
    graph = av.filter.Graph()
    begin = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
    )
    says, end = graph.add("setfield", "tff"), graph.add("buffersink")
    begin.link_to(says)
    says.link_to(end)
    graph.configure()
    graph.push(frame)
    said: Any = graph.pull()
    said.pts = None
    return said


class Brighter:
    """Stands for a restorer: faces come out 40 levels brighter; remembers what it was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.crops: list[NDArray[np.uint8]] = []
        from keeprt.engine.pipeline import restoring

        def step(_: Any, work: Any) -> list[Any]:
            for face in work.faces:
                self.crops.append(face.crop)
                face.restored = np.clip(face.crop.astype(int) + 40, 0, 255).astype(np.uint8)
            return [work]

        monkeypatch.setattr(restoring.Bypass, "step", step)


def moving_detector(per_picture: float) -> Scripted:
    def answer(width: int, height: int, call: int) -> list[Any]:
        return [astronaut_at(40 + per_picture * call, 40, SIDE)]

    return Scripted(answer)


OPTIONS: dict[str, Any] = {
    "lookahead": 0,
    "threads": False,
    "encoding": Encoding("ffv1"),
    "detect_side": 640,
}


def planes(path: Path) -> list[tuple[NDArray[Any], ...]]:
    with open_source(path) as video:
        return [copied_planes(frame.native) for frame in video]


def test_each_field_is_a_picture_of_its_own_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, seen = interlaced(tmp_path / "in.mkv", combed(5)), Brighter(monkeypatch)
    options = RestoreOptions(detector=moving_detector(STEP), **OPTIONS)
    summary = restore_video(source, tmp_path / "out.mkv", None, options)
    assert summary.frames == 5
    assert {track: (span.first, span.last) for track, span in summary.tracks.items()} == {1: (1, 4)}
    reference = Brighter(monkeypatch)
    progressive = write_clip(
        tmp_path / "p.mkv", [at_moment(n) for n in range(10)], "yuv422p", codec="ffv1"
    )
    options = RestoreOptions(detector=moving_detector(STEP), **OPTIONS)
    restore_video(progressive, tmp_path / "p_out.mkv", None, options)
    assert len(seen.crops) == len(reference.crops) == 8
    for field, whole in zip(seen.crops, reference.crops, strict=True):
        # A field has half the lines: what it has is where the whole picture has it.
        assert np.abs(field.astype(int) - whole).mean() < 6


def test_only_the_face_changes_and_in_both_fields(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = interlaced(tmp_path / "in.mkv", combed(4, moving=False))
    Brighter(monkeypatch)
    options = RestoreOptions(detector=moving_detector(0), **OPTIONS)
    restore_video(source, tmp_path / "out.mkv", None, options)
    before, after = planes(source)[-1], planes(tmp_path / "out.mkv")[-1]
    change = after[0].astype(int) - before[0]
    assert np.count_nonzero(change[:, :20]) == np.count_nonzero(change[:, -40:]) == 0
    assert all(np.array_equal(a[:, :10], b[:, :10]) for a, b in zip(before, after, strict=True))
    middle = change[100:140, 100:140]
    assert 25 < middle.mean() < 45
    assert abs(middle[::2].mean() - middle[1::2].mean()) < 1


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "uyvy422", "gray", "rgb24"])
@pytest.mark.parametrize("height", [240, 242])
def test_taken_apart_and_put_together_nothing_changes(
    tmp_path: Path, pixel_format: str, height: int
) -> None:
    picture = background(height, 64)
    native = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=pixel_format)
    native.pts, native.time_base = 3, Fraction(1, 25)
    with open_source(write_clip(tmp_path / "in.mkv", [picture], "yuv444p")) as video:
        frame = next(iter(video))
    frame = SourceFrame(native, 7, 0.0, frame.info, frame.converter)
    before = [bytes(plane) for plane in native.planes]
    sink = KeptWhole(tmp_path, frame.info)
    joiner = FieldJoiner(sink)
    for field in split(frame):
        joiner.write(field)
    (written,) = sink.written
    assert written.index == 7 and written.field is None
    repacked = written.native.reformat(format=pixel_format)
    assert [bytes(plane) for plane in repacked.planes] == before


class KeptWhole(KeptFrames):
    """Keeps the frames themselves."""

    def __init__(self, path: Path, like: Any) -> None:
        super().__init__(path, like)
        self.written: list[SourceFrame] = []

    def write(self, frame: Any) -> None:
        self.written.append(frame)


def test_what_is_done_is_said_and_can_be_chosen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = interlaced(tmp_path / "in.mkv", combed(3))

    def run(**how: Any) -> str:
        caplog.clear()
        options = RestoreOptions(detector=Scripted(lambda *_: []), **OPTIONS, **how)
        with caplog.at_level(logging.WARNING):
            restore_video(source, tmp_path / "out.mkv", None, options)
        return caplog.text

    assert "each field is restored by itself" in run()
    assert "both fields of a frame are taken for one picture" in run(interlaced="frame")
    (tmp_path / "out.mkv").unlink()
    refused: list[tuple[type[KeeprtError], str, dict[str, Any]]] = [
        (MediaError, "is interlaced; --interlaced", {"interlaced": "refuse"}),
        (UsageError, "leave --scale out", {"scale": 2}),
        (UsageError, "'both' is unknown", {"interlaced": "both"}),
    ]
    for error, words, how in refused:
        with pytest.raises(error, match=words):
            run(**how)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_drawn_tracks_lie_over_the_face(tmp_path: Path) -> None:
    source = interlaced(tmp_path / "in.mkv", combed(4, moving=False))
    options = RestoreOptions(detector=moving_detector(0), draw_tracks=True, **OPTIONS)
    restore_video(source, tmp_path / "out.mkv", None, options)
    with open_source(tmp_path / "out.mkv") as video:
        drawn = list(video)[-1].rgb().astype(int)
    changed = np.abs(drawn - combed(1, moving=False)[0]).max(2) > 60
    rows, _ = np.nonzero(changed[:200])
    box = astronaut_at(40, 40, SIDE).box
    assert abs(rows.max() - box[3]) < 8
