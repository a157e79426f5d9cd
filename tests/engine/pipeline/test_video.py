"""Whole videos from end to end: who is restored, what stays as it is, and every kind of video."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from av.codec.context import ThreadType

from keeprt.engine.errors import FaceError, KeeprtError, UsageError
from keeprt.engine.faces.alignment import crop_face, estimate_transform
from keeprt.engine.media import open_sink, open_source
from keeprt.engine.pipeline import Encoding, RestoreOptions, restore_video
from keeprt.engine.restorer import Restorer
from tests.engine.masks import frame_mask
from tests.engine.media.clips import packets, times
from tests.engine.pipeline_clips import (
    Scripted,
    Watched,
    astronaut_at,
    background,
    copied_planes,
    one_face,
    two_faces_then_cut,
    with_face,
    write_clip,
)

pytest.importorskip("skimage")

LOSSLESS = Encoding(codec="libx264", crf=0, preset="ultrafast")


@pytest.fixture(scope="module")
def restorer(tiny_bundle: Path) -> Restorer:
    return Restorer.load(tiny_bundle, max_faces=2, threads=1)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def scripted(left: float, top: float, side: float, drift: float = 1.0) -> Scripted:
    """The face of `one_face` and its like, found without a network."""
    return Scripted(lambda width, height, n: [astronaut_at(left + drift * n, top, side)])


def decoded(path: Path) -> list[tuple[Any, ...]]:
    with open_source(path) as video:
        return [copied_planes(frame.native) for frame in video]


def rgb_of(path: Path) -> list[Any]:
    with open_source(path) as video:
        return [frame.rgb() for frame in video]


def plain_reencode(source: Path, out: Path) -> Path:
    with ExitStack() as opened:
        video = opened.enter_context(open_source(source))
        sink = opened.enter_context(open_sink(out, video.info, crf=0, preset="ultrafast"))
        for frame in video:
            sink.write(frame)
    return out


def masks(watched: Watched, face_size: int) -> list[Any]:
    """Per frame, in stored pixels, where some face's mask is above 0 and where it is 1."""
    found = []
    for work in watched.works:
        info = work.frame.info
        width, height = info.upright_size
        mask = np.zeros((height, width), np.float32)
        for face in work.faces:
            mask = np.maximum(mask, frame_mask(face.affine, (height, width), face_size))
        upright = np.repeat(np.uint8(np.ceil(mask * 255))[..., None], 3, 2)
        found.append(info.orientation.stored(upright)[..., 0])
    return found


def assert_only_faces_changed(watched: Watched, before: list[tuple[Any, ...]], size: int) -> None:
    """Every plane is the decoded one outside the masks; luma is another where a mask is 1."""
    assert len(watched.frames) == len(before)
    changed = 0
    for planes, old, mask in zip(watched.frames, before, masks(watched, size), strict=True):
        assert len(planes) == len(old)
        for plane, was in zip(planes, old, strict=True):
            assert plane.dtype == was.dtype and plane.shape == was.shape
            free = shrunk(mask, plane.shape) == 0
            assert free.sum() > 0.2 * free.size
            assert np.array_equal(plane[free], was[free])
        changed += int((planes[0][mask == 255] != old[0][mask == 255]).sum())
    assert changed > 500 * len(before)


def shrunk(mask: Any, shape: tuple[int, ...]) -> Any:
    """The largest value of the mask around each sample of a plane."""
    import cv2

    wide = cv2.dilate(mask, np.ones((5, 5), np.uint8))
    steps = [-(-mask.shape[axis] // shape[axis]) for axis in (0, 1)]
    return wide[:: steps[0], :: steps[1]][: shape[0], : shape[1]]


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


@pytest.mark.parametrize("place", [(-90, 40), (240, 40), (70, -60), (70, 150), (-90, 150)])
def test_faces_over_the_border(
    tmp_path: Path, restorer: Restorer, watched: Watched, place: tuple[int, int]
) -> None:
    scene = background(240, 320)
    source = write_clip(tmp_path / "in.mp4", [with_face(scene, *place, 180)] * 4)
    before = decoded(source)
    options = RestoreOptions(detector=scripted(*place, 180, drift=0))
    restore_video(source, tmp_path / "out.mp4", restorer, options)
    assert_only_faces_changed(watched, before, restorer.bundle.face_size)


def test_a_face_beside_the_picture_is_no_error(tmp_path: Path, restorer: Restorer) -> None:
    source = write_clip(tmp_path / "in.mp4", [background(180, 320)] * 4)
    options = RestoreOptions(detector=scripted(-900, 40, 180, drift=0))
    assert restore_video(source, tmp_path / "out.mp4", restorer, options).frames == 4


def test_faces_below_the_minimum_are_left_alone(tmp_path: Path, watched: Watched) -> None:
    source = write_clip(tmp_path / "in.mp4", one_face(5))
    detector = scripted(70, 30, 180)
    side = float(np.min(np.diff(astronaut_at(70, 30, 180).box.reshape(2, 2), axis=0)))
    for min_size, found in ((side - 2, [1]), (side + 2, [])):
        options = RestoreOptions(min_size=min_size, detector=detector)
        summary = restore_video(source, tmp_path / "out.mp4", None, options)
        assert list(summary.tracks) == found and summary.detections == 5


def test_strength_blends(tmp_path: Path, restorer: Restorer, watched: Watched) -> None:
    source = write_clip(tmp_path / "in.mp4", one_face(3))
    results = []
    for strength in (0.0, 0.5, 1.0):
        options = RestoreOptions(strength=strength, detector=scripted(70, 30, 180))
        restore_video(source, tmp_path / "out.mp4", restorer, options)
        results.append(watched.frames[-1][0].astype(float))
    assert np.array_equal(results[0], decoded(source)[-1][0])
    inside = (results[2] > 0) & (results[2] < 255)  # not cut off
    assert np.abs(results[1] - (results[0] + results[2]) / 2)[inside].max() <= 1.0
    assert np.abs(results[2] - results[0])[inside].max() > 20


def test_choosing_the_largest(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", two_faces_then_cut(6, 1))
    detector = Scripted(lambda *_: [astronaut_at(20, 60, 180), astronaut_at(270, 50, 150)])
    for faces, count in (("all", 2), ("largest", 1), ("1", 1), ("2", 2)):
        options = RestoreOptions(faces=faces, detector=detector)
        summary = restore_video(source, tmp_path / "out.mp4", None, options)
        assert summary.tracks[1].frames == 6 and len(summary.tracks) >= count
        if count == 1:
            assert 2 not in summary.tracks


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


def shown(source: Path, watched: Watched) -> list[tuple[Any, Any]]:
    """The source's pictures and the works of those frames that show a face without delay."""
    return list(zip(rgb_of(source), watched.works, strict=True))[2:]


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


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stream", "clip"])
def test_each_person_has_a_state_of_their_own(
    tmp_path: Path, tiny_bundle: Path, watched: Watched, mode: Any
) -> None:
    """Replaying the crops of one track alone gives the faces that it got among the others."""
    source = write_clip(tmp_path / "in.mp4", two_faces_then_cut(9, 6))
    how: dict[str, Any] = {"mode": mode, "window": 4, "chunk": 4, "threads": 1}
    restorer = Restorer.load(tiny_bundle, max_faces=2, **how)
    summary = restore_video(source, tmp_path / "out.mp4", restorer)
    tracks: dict[int, list[Any]] = {}
    for work in watched.works:
        for face in work.faces:
            tracks.setdefault(face.track, []).append(face)
    assert {key: len(faces) for key, faces in tracks.items()} == {1: 9, 2: 9, 3: 6}
    chunks = {1: [0, 4, 8], 2: [0, 4, 8], 3: [9, 13]}
    resets = [(n, key) for key, starts in chunks.items() for n in starts]
    if mode == "stream":
        resets = [(0, 1), (0, 2), (9, 3)]
    assert sorted(summary.resets) == sorted(resets)
    for faces in tracks.values():
        alone = Restorer.load(tiny_bundle, **how)
        if mode == "clip":
            replayed = list(alone.restore_clip(face.crop for face in faces))
        else:
            state, replayed = alone.new_state(), []
            for face in faces:
                restored, state = alone.restore(face.crop, state)
                replayed.append(restored)
        for face, picture in zip(faces, replayed, strict=True):
            assert np.abs(face.restored.astype(int) - picture).max() <= 1


def test_landmarks_are_written_and_reused(
    tmp_path: Path, restorer: Restorer, watched: Watched
) -> None:
    source, file = write_clip(tmp_path / "in.mp4", two_faces_then_cut(7, 5)), tmp_path / "faces"
    options = RestoreOptions(landmarks=file)
    first = restore_video(source, tmp_path / "out.mp4", restorer, options)
    written = file.read_bytes()
    refusing = RestoreOptions(landmarks=file, detector=tmp_path / "no detector is needed")
    second = restore_video(source, tmp_path / "out.mp4", restorer, refusing)
    assert file.read_bytes() == written
    assert (first.tracks, first.cuts, first.resets) == (second.tracks, second.cuts, second.resets)
    assert first.detections == second.detections > 0
    for one, other in zip(watched.sinks[0].frames, watched.sinks[1].frames, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_landmarks_of_another_part_or_length_are_refused(tmp_path: Path) -> None:
    source, file = write_clip(tmp_path / "in.mp4", one_face(6)), tmp_path / "faces"
    restore_video(source, tmp_path / "out.mp4", None, RestoreOptions(landmarks=file))
    with pytest.raises(FaceError, match="another part"):
        restore_video(
            source, tmp_path / "o.mp4", None, RestoreOptions(landmarks=file, start_s=0.08)
        )
    for count, said in ((8, "the video goes on"), (4, "goes on after")):
        other = write_clip(tmp_path / f"{count}.mp4", one_face(count))
        with pytest.raises(FaceError, match=said):
            restore_video(other, tmp_path / "o.mp4", None, RestoreOptions(landmarks=file))
    assert not (tmp_path / "o.mp4").exists()


def test_drawing_and_crops(tmp_path: Path, restorer: Restorer) -> None:
    source, crops = write_clip(tmp_path / "in.mp4", one_face(3)), tmp_path / "crops"
    options = RestoreOptions(draw_tracks=True, save_crops=crops, encoding=LOSSLESS)
    restore_video(source, tmp_path / "out.mp4", restorer, options)
    names = sorted(str(path.relative_to(crops)) for path in crops.rglob("*.png"))
    assert names[:2] == ["track_0001/frame_000000.png", "track_0001/frame_000000_restored.png"]
    assert len(names) == 6
    # The lower left corner holds the frame's number.
    new, old = rgb_of(tmp_path / "out.mp4")[0], rgb_of(source)[0]
    assert np.abs(new[-20:, :20].astype(int) - old[-20:, :20]).max() > 50


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


def test_template_follows_the_networks_size() -> None:
    landmarks = astronaut_at(70, 30, 180).landmarks
    np.testing.assert_allclose(
        estimate_transform(landmarks, 128), estimate_transform(landmarks) / 4, atol=1e-9
    )
