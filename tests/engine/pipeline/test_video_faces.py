"""Which faces of a video are restored, how far, and what is written about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine.errors import FaceError
from keeprt.engine.faces.alignment import estimate_transform
from keeprt.engine.pipeline import RestoreOptions, restore_video
from keeprt.engine.restorer import Restorer
from tests.engine.pipeline.videos import (
    LOSSLESS,
    assert_only_faces_changed,
    decoded,
    rgb_of,
    scripted,
)
from tests.engine.pipeline_clips import (
    Scripted,
    Watched,
    astronaut_at,
    background,
    one_face,
    two_faces_then_cut,
    with_face,
    write_clip,
)

pytest.importorskip("skimage")
pytestmark = pytest.mark.usefixtures("no_thread_is_left")


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


def test_template_follows_the_networks_size() -> None:
    landmarks = astronaut_at(70, 30, 180).landmarks
    np.testing.assert_allclose(
        estimate_transform(landmarks, 128), estimate_transform(landmarks) / 4, atol=1e-9
    )
