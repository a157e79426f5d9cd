"""Whole videos from end to end: what stays as it is, and every kind of video."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from av.codec.context import ThreadType

from keeprt.engine.faces.alignment import crop_face
from keeprt.engine.media import open_sink, open_source
from keeprt.engine.pipeline import RestoreOptions, restore_video
from keeprt.engine.restorer import Restorer
from tests.engine.media.clips import packets, times
from tests.engine.pipeline.videos import (
    LOSSLESS,
    assert_only_faces_changed,
    decoded,
    masks,
    plain_reencode,
    rgb_of,
    scripted,
    shown,
    shrunk,
)
from tests.engine.pipeline_clips import (
    Watched,
    astronaut_at,
    background,
    one_face,
    two_faces_then_cut,
    write_clip,
)

pytest.importorskip("skimage")
pytestmark = pytest.mark.usefixtures("no_thread_is_left")


@pytest.mark.slow
def test_two_faces_then_a_cut(tmp_path: Path, restorer: Restorer) -> None:
    source = write_clip(tmp_path / "two.mp4", two_faces_then_cut(14, 8), audio=True)
    out = tmp_path / "out.mp4"
    summary = restore_video(source, out, restorer, RestoreOptions(encoding=LOSSLESS))
    spans = {key: (s.first, s.last, s.frames) for key, s in summary.tracks.items()}
    assert spans == {1: (0, 13, 14), 2: (0, 13, 14), 3: (14, 21, 8)}
    assert summary.cuts == [14]
    assert sorted(summary.resets) == [(0, 1), (0, 2), (14, 3)]
    assert times(out) == times(source)
    assert packets(out, "audio") == packets(source, "audio")


def test_outside_the_faces_the_file_is_a_plain_reencode(
    tmp_path: Path, restorer: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lossless encoder shows it to the end: no two encodings of different faces are alike."""
    source = write_clip(tmp_path / "two.mp4", two_faces_then_cut(6, 6))
    plain = plain_reencode(source, tmp_path / "plain.mp4")
    works: list[Any] = []
    from keeprt.engine.pipeline.painting import Painter

    paint = Painter.paint
    monkeypatch.setattr(
        Painter, "paint", lambda self, work: (works.append(work), paint(self, work))
    )
    out = tmp_path / "out.mp4"
    restore_video(source, out, restorer, RestoreOptions(encoding=LOSSLESS))
    watched = Watched.__new__(Watched)
    watched.works = works
    size = restorer.bundle.face_size
    old, new = decoded(plain), decoded(out)
    for before, after, mask in zip(old, new, masks(watched, size), strict=True):
        for was, plane in zip(before, after, strict=True):
            free = shrunk(mask, plane.shape) == 0
            assert np.array_equal(plane[free], was[free])
        assert (after[0][mask == 255] != before[0][mask == 255]).mean() > 0.5


KINDS: dict[str, dict[str, Any]] = {
    "420": {},
    "422 10 bits": {"pixel_format": "yuv422p10le"},
    "420 10 bits": {"pixel_format": "yuv420p10le"},
    "444": {"pixel_format": "yuv444p"},
    "full range": {"pixel_format": "yuvj420p", "codec": "mjpeg"},
    "grey": {"pixel_format": "gray"},
    "grey 10 bits": {"pixel_format": "gray10le"},
    "rotated": {"rotation_ccw": 90},
    "upside down": {"rotation_ccw": 180, "pixel_format": "yuv422p10le"},
    "variable rate": {"pts": (0, 2, 3, 7, 8, 9)},
    "with sound": {"audio": True},
    "BT.2020": {"pixel_format": "yuv420p10le", "colour": (9, 1, 9, 16)},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("network", [True, False], ids=["network", "bypass"])
def test_every_kind_of_video(
    tmp_path: Path, restorer: Restorer, watched: Watched, kind: str, network: bool
) -> None:
    source = write_clip(tmp_path / "in.mkv", one_face(6), **KINDS[kind])
    before = decoded(source)
    options = RestoreOptions(detector=scripted(70, 30, 180))
    summary = restore_video(source, tmp_path / "out.mkv", restorer if network else None, options)
    assert summary.frames == 6 and list(summary.tracks) == [1]
    with open_source(source) as video:
        assert watched.sinks[0].times == [frame.native.pts for frame in video]
    if network:
        assert_only_faces_changed(watched, before, restorer.bundle.face_size)
        return
    for planes, old in zip(watched.frames, before, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(planes, old, strict=True))


@pytest.mark.parametrize("size", [(321, 241), (321, 240), (320, 241)])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p"])
def test_odd_sizes(
    tmp_path: Path, restorer: Restorer, size: tuple[int, int], pixel_format: str
) -> None:
    width, height = size
    pictures = one_face(4, width, height)
    if pixel_format == "yuv420p":
        source = write_clip(tmp_path / "in.mkv", pictures, pixel_format, codec="ffv1")
    else:
        source = write_clip(tmp_path / "in.mp4", pictures, pixel_format)
    out = tmp_path / "out.mp4"
    options = RestoreOptions(detector=scripted(70, 30, 180), encoding=LOSSLESS)
    restore_video(source, out, restorer, options)
    plain = plain_reencode(source, tmp_path / "plain.mp4")
    for new, old in zip(rgb_of(out), rgb_of(plain), strict=True):
        assert new.shape == (height, width, 3)
        assert np.array_equal(new[:, :30], old[:, :30])
        assert np.abs(new[80:160, 130:190].astype(int) - old[80:160, 130:190]).mean() > 5


@pytest.mark.parametrize("name", ["in.mkv", "folder"])
def test_rgb_video_and_images(
    tmp_path: Path, restorer: Restorer, watched: Watched, name: str
) -> None:
    source = write_clip(tmp_path / "in.mkv", one_face(4), "bgr0", codec="ffv1")
    if name == "folder":
        with open_source(source) as video, open_sink(tmp_path / name, video.info) as images:
            for frame in video:
                images.write(frame)
    options = RestoreOptions(detector=scripted(70, 30, 180))
    restore_video(tmp_path / name, tmp_path / "out", restorer, options)
    before = [(picture,) for picture in rgb_of(source)]
    for (new,), (old,), mask in zip(
        watched.frames, before, masks(watched, restorer.bundle.face_size), strict=True
    ):
        assert np.array_equal(new[mask == 0], old[mask == 0])
        assert np.abs(new[mask == 255].astype(int) - old[mask == 255]).mean() > 5


def test_a_grey_picture_in_colour_planes_gets_no_colour(
    tmp_path: Path, restorer: Restorer, watched: Watched
) -> None:
    grey = [np.repeat(picture[..., :1], 3, 2) for picture in one_face(4)]
    source = write_clip(tmp_path / "in.mp4", grey)
    before = decoded(source)
    restore_video(
        source, tmp_path / "out.mp4", restorer, RestoreOptions(detector=scripted(70, 30, 180))
    )
    assert all(work.grey for work in watched.works)
    for planes, old in zip(watched.frames, before, strict=True):
        assert not np.array_equal(planes[0], old[0])
        assert np.array_equal(planes[1], old[1]) and np.array_equal(planes[2], old[2])


def test_no_face_in_the_whole_video(tmp_path: Path, restorer: Restorer, watched: Watched) -> None:
    source = write_clip(tmp_path / "in.mp4", [background(180, 320)] * 5)
    summary = restore_video(source, tmp_path / "out.mp4", restorer)
    assert (summary.frames, summary.tracks, summary.detections) == (5, {}, 0)
    for planes, old in zip(watched.frames, decoded(source), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(planes, old, strict=True))


def test_a_single_frame(tmp_path: Path, restorer: Restorer) -> None:
    source = write_clip(tmp_path / "in.mp4", one_face(1))
    summary = restore_video(source, tmp_path / "out.mp4", restorer)
    assert (summary.frames, list(summary.tracks)) == (1, [1])
    assert times(tmp_path / "out.mp4") == times(source)


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le"])
def test_scaled_video(
    tmp_path: Path, restorer: Restorer, watched: Watched, scale: int, pixel_format: str
) -> None:
    source = write_clip(tmp_path / "in.mp4", one_face(3), pixel_format)
    options = RestoreOptions(scale=scale, detector=scripted(70, 30, 180))
    restore_video(source, tmp_path / "out.mp4", None, options)
    plain = watched.frames
    restore_video(
        source,
        tmp_path / "out.mp4",
        restorer,
        RestoreOptions(scale=scale, detector=scripted(70, 30, 180)),
    )
    for planes, lanczos, small in zip(watched.frames, plain, decoded(source), strict=True):
        assert planes[0].shape == (240 * scale, 320 * scale)
        tall, wide = lanczos[0].shape
        means = lanczos[0].reshape(tall // scale, scale, wide // scale, scale).mean((1, 3))
        depth = 4 if pixel_format.endswith("10le") else 1
        assert np.abs(means - small[0]).mean() < 1.5 * depth
        border = 40 * scale
        assert np.array_equal(planes[0][:, :border], lanczos[0][:, :border])
        middle = (slice(90 * scale, 150 * scale), slice(130 * scale, 190 * scale))
        assert np.abs(planes[0][middle].astype(int) - lanczos[0][middle]).mean() > 5 * depth


def test_a_scaled_file_has_the_size_and_the_sound(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", one_face(3, 161, 121), "yuv444p", audio=True)
    restore_video(source, tmp_path / "out.mp4", None, RestoreOptions(scale=2))
    with open_source(tmp_path / "out.mp4") as video:
        assert (video.info.width, video.info.height) == (322, 242)
    assert packets(tmp_path / "out.mp4", "audio") == packets(source, "audio")


def test_longer_than_the_lookahead(tmp_path: Path, watched: Watched) -> None:
    source = write_clip(tmp_path / "in.mp4", one_face(60))
    options = RestoreOptions(detector=scripted(70, 30, 180))
    summary = restore_video(source, tmp_path / "out.mp4", None, options)
    assert summary.tracks[1].frames == 60
    with open_source(source) as video:
        assert watched.sinks[0].times == [frame.native.pts for frame in video]
    # The smoothed face is where the frame's own face is; at the ends the smoothing lags.
    for n, work in list(enumerate(watched.works))[20:40]:
        expected = astronaut_at(70 + n, 30, 180).landmarks
        assert np.abs(work.faces[0].found.landmarks - expected).max() < 0.1


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_frames_that_the_decoder_still_needs_are_not_painted_over(
    tmp_path: Path,
    restorer: Restorer,
    watched: Watched,
    monkeypatch: pytest.MonkeyPatch,
    codec: str,
) -> None:
    """Without delay, the frame that is written is the one that the next is predicted from.

    Threads of the decoder would hide it most of the time: they are ahead of us.
    """
    one_thread = SimpleNamespace(AUTO=ThreadType.NONE)
    monkeypatch.setattr("keeprt.engine.media.reading.decoder.ThreadType", one_thread)
    source = write_clip(tmp_path / "in.mkv", one_face(12), codec=codec)
    before = decoded(source)
    options = RestoreOptions(detector=scripted(70, 30, 180), lookahead=0, threads=False)
    restore_video(source, tmp_path / "out.mkv", restorer, options)
    assert [len(work.faces) for work in watched.works] == [0] * 2 + [1] * 10
    for planes, old, mask in zip(
        watched.frames, before, masks(watched, restorer.bundle.face_size), strict=True
    ):
        free = shrunk(mask, planes[0].shape) == 0
        assert np.array_equal(planes[0][free], old[0][free])
    crops = [crop_face(frame, work.faces[0].affine, 128) for frame, work in shown(source, watched)]
    for crop, work in zip(crops, watched.works[2:], strict=True):
        assert np.abs(crop.astype(int) - work.faces[0].crop).max() <= 1


def test_a_part_of_the_video(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", one_face(12), audio=True)
    options = RestoreOptions(start_s=0.12, duration_s=0.2)
    assert restore_video(source, tmp_path / "out.mp4", None, options).frames == 5


@pytest.mark.slow
def test_live_has_no_delay_and_threads_change_nothing(
    tmp_path: Path, restorer: Restorer, watched: Watched
) -> None:
    source = write_clip(tmp_path / "in.mp4", two_faces_then_cut(7, 5))
    for lookahead in (None, 0):
        for threads in (True, False):
            options = RestoreOptions(threads=threads, lookahead=lookahead)
            restore_video(source, tmp_path / "out.mp4", restorer, options)
        with_threads, without = watched.sinks[-2].frames, watched.sinks[-1].frames
        for one, other in zip(with_threads, without, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
