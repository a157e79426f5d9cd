"""Whole frames through one list, on the CPU: nearly what the pipeline paints by its parts."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine import Restorer
from keeprt.engine.errors import UsageError
from keeprt.engine.faces.detection import Detection
from keeprt.engine.frame.video_list import planes_in
from keeprt.engine.media import VideoInfo, open_source
from keeprt.engine.media.info import ColourTags
from keeprt.engine.pipeline import Encoding, RestoreOptions, restore_video
from keeprt.engine.pipeline.whole_frames import host_reason, packed, unpacked, whole_frame_format
from keeprt.engine.video_restorer import VideoRestorer
from keeprt.kernels.crop_align import crop_align
from keeprt.kernels.frame import FrameFormat
from keeprt.kernels.paste_back import paste_back
from tests.engine.pipeline_clips import (
    Scripted,
    astronaut_at,
    background,
    copied_planes,
    write_clip,
)

FRAMES = 8
INFO = VideoInfo("in.mp4", 320, 240, "yuv420p", 8, Fraction(1, 25))
LOSSLESS = Encoding("libx264", crf=0, preset="ultrafast")


def who_is_there(width: int, height: int, frame: int) -> list[Detection]:
    there = [astronaut_at(10 + frame, 20, 120)]
    return there if frame in (3, 4) else [*there, astronaut_at(170, 60 + frame, 130)]


def restored(source: Path, out: Path, restorer: Any, **more: Any) -> list[Any]:
    options = RestoreOptions(
        detector=Scripted(who_is_there), detect_every=1, encoding=LOSSLESS, **more
    )
    summary = restore_video(source, out, restorer, options)
    assert summary.frames == FRAMES and len(summary.tracks) >= 2
    with open_source(out) as video:
        return [copied_planes(frame.native) for frame in video]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    scene = background(240, 320 + FRAMES)
    pictures = [scene[:, n : n + 320] for n in range(FRAMES)]
    return write_clip(tmp_path / "in.mp4", pictures, "yuv420p")


def changed(crop: Any) -> Any:
    """A smooth change, other in each channel, of a crop (3, S, S) in [-1, 1]."""
    return (np.float32(0.5) * crop[::-1] + np.float32(0.1)).astype(np.float32)


class SmoothParts(Restorer):
    """In place of the network, which makes noise of a level's difference."""

    done: Any = None

    def submit(self, faces: Any, states: Any) -> Any:
        crops = [face.transpose(2, 0, 1) / np.float32(127.5) - 1 for face in faces]
        pictures = [np.rint((changed(crop) + 1) * 127.5).astype(np.uint8) for crop in crops]
        self.done = [picture.transpose(1, 2, 0) for picture in pictures]
        return states

    def collect(self) -> Any:
        return self.done


class SmoothWhole(VideoRestorer):
    """The same on whole frames, by the kernels' twins."""

    done: Any = None

    def submit(self, frame: Any, faces: Any, *, strengths: Any = None, grey: bool = False) -> Any:
        self.done = frame.copy()
        planes = planes_in(self.done, self.format)
        places = np.stack(self._placements([affine for affine, _ in faces], strengths, grey))
        crops = crop_align(planes, self.format, places, self.bundle.face_size)
        for place, crop in zip(places, crops, strict=True):
            paste_back(planes, self.format, place, changed(crop), crop)
        return [state for _, state in faces]

    def collect(self) -> Any:
        return self.done


@pytest.mark.parametrize("faces", [1, 2])
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_a_video_is_close_to_what_the_pipeline_paints(
    tiny_bundle: Path, tmp_path: Path, source: Path, faces: int, strength: float
) -> None:
    """Two faces, in lists of one or of two: half a code apart in the mean over what is changed."""
    with open_source(source) as video:
        format = whole_frame_format(video.info)
        before = [copied_planes(frame.native) for frame in video]
    assert format is not None
    sizes: Any = {"threads": 1, "window": 3, "max_faces": faces}
    whole = SmoothWhole.load(tiny_bundle, format, **sizes)
    parts = SmoothParts.load(tiny_bundle, **sizes)
    found = restored(source, tmp_path / "whole.mp4", whole, strength=strength)
    right = restored(source, tmp_path / "parts.mp4", parts, strength=strength)
    for ours, theirs, old in zip(found, right, before, strict=True):
        for plane, other, was in zip(ours, theirs, old, strict=True):
            touched = other != was
            assert np.abs(other.astype(int) - was)[touched].mean() > 3 * strength
            assert np.abs(plane.astype(int) - other)[touched].mean() < 0.5


def test_frames_keep_padding_times_and_what_is_not_painted(source: Path) -> None:
    with open_source(source) as video:
        format = whole_frame_format(video.info)
        assert format == FrameFormat("yuv420p", 320, 240, "bt601")
        for frame in video:
            before, pts = copied_planes(frame.native), frame.native.pts
            planes = packed(frame, format)
            assert planes.tobytes() == b"".join(plane.tobytes() for plane in before)
            planes[: 320 * 240] += 1
            again = unpacked(planes, frame, format).native
            assert again.pts == pts
            np.testing.assert_array_equal(copied_planes(again)[0], before[0] + 1)
            np.testing.assert_array_equal(copied_planes(again)[1], before[1])


def test_what_a_card_cannot_do_is_said() -> None:
    asked = RestoreOptions()
    assert host_reason(INFO, asked) == ""
    hdr = ColourTags(9, 1, 9, 16)
    said = {
        "the video is enlarged": (INFO, replace(asked, scale=2)),
        "crops are saved": (INFO, replace(asked, save_crops=Path("crops"))),
        "fields are restored one by one": (replace(INFO, field_order="tt"), asked),
        "HDR is seen as SDR": (replace(INFO, colour=hdr), asked),
        "the kernels do not know yuv444p": (replace(INFO, pixel_format="yuv444p"), asked),
        "the kernels do not know rgb24": (replace(INFO, pixel_format="rgb24"), asked),
    }
    for reason, (info, options) in said.items():
        assert host_reason(info, options) == reason
    assert host_reason(replace(INFO, field_order="tt"), replace(asked, interlaced="frame")) == ""
    odd = whole_frame_format(replace(INFO, codec="mjpeg", pixel_format="yuvj420p"))
    assert odd is None


def test_a_restorer_that_does_not_fit_is_refused(
    tiny_bundle: Path, tmp_path: Path, source: Path
) -> None:
    restorer = VideoRestorer.load(tiny_bundle, FrameFormat("yuv420p", 64, 48), threads=1, window=3)
    out = tmp_path / "out.mp4"
    with pytest.raises(UsageError, match="not for this video"):
        restore_video(source, out, restorer)
    with pytest.raises(UsageError, match="enlarged; load a Restorer"):
        restore_video(source, out, restorer, RestoreOptions(scale=2))
    assert not out.exists()
