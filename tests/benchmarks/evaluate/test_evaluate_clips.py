"""Where sharp clips come from: made, aligned as `keeprt restore` aligns, or whole pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from keeprt.benchmarks.evaluate.clips import MADE, aligned_faces, sharp_clips
from keeprt.benchmarks.evaluate.lossless import read_clip, write_clip
from keeprt.engine.errors import FaceError, MediaError, UsageError
from keeprt.engine.faces.alignment import TEMPLATE
from keeprt.engine.faces.centerface import CenterFace
from keeprt.engine.media import open_source
from keeprt.engine.pipeline import RestoreOptions, restore_video
from tests.engine.pipeline_clips import background, one_face, two_faces_then_cut
from tests.engine.pipeline_clips import write_clip as encode
from tests.networks import faces

pytest.importorskip("skimage")


def test_lossless_clips_come_back_as_they_were(tmp_path: Path) -> None:
    frames = faces(4, size=63)
    write_clip(tmp_path / "a.b.mkv", frames, Fraction(30000, 1001))
    back = list(read_clip(tmp_path / "a.b.mkv"))
    assert len(back) == 4
    assert all(np.array_equal(a, b) for a, b in zip(frames, back, strict=True))
    with open_source(tmp_path / "a.b.mkv") as video:
        assert float(video.info.average_rate or 0) == pytest.approx(30000 / 1001, rel=1e-3)


def test_the_made_clip_is_the_default_and_follows_the_seed() -> None:
    first, again, other = (next(sharp_clips([], 3, 64, seed=seed)) for seed in (1, 1, 2))
    assert first.name == MADE and first.rate == 25 and len(first.frames) == 3
    assert np.array_equal(first.frames, again.frames)
    assert not np.array_equal(first.frames, other.frames)


def test_faces_are_cut_out_as_restore_cuts_them(tmp_path: Path) -> None:
    source = encode(tmp_path / "talk.mp4", one_face(6))
    (clip,) = sharp_clips([source], 5, 512)
    assert (clip.name, clip.source, len(clip.frames)) == ("talk", "talk.mp4", 5)
    options = RestoreOptions(faces="largest", save_crops=tmp_path / "crops")
    restore_video(source, tmp_path / "out.mp4", None, options)
    with open_source(next((tmp_path / "crops").rglob("*.png")).parent) as crops:
        expected = [frame.rgb() for frame in crops]
    assert all(np.array_equal(a, b) for a, b in zip(clip.frames, expected, strict=False))
    found = CenterFace().detect(clip.frames[0])[0].landmarks
    assert np.linalg.norm(found - TEMPLATE, axis=1).mean() < 15


def test_a_clip_ends_where_its_face_does(tmp_path: Path) -> None:
    source = encode(tmp_path / "cut.mp4", two_faces_then_cut(6, 6))
    assert len(list(aligned_faces(source, 128))) == 6
    late = encode(tmp_path / "late.mp4", [background(240, 320)] * 3 + one_face(4))
    assert len(list(aligned_faces(late, 128))) == 4


def test_no_face_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    source = encode(tmp_path / "empty.mp4", [background(240, 320)] * 3)
    with pytest.raises(FaceError, match=r"empty\.mp4: no face was found"):
        list(sharp_clips([source], 3, 128))


def test_aligned_pictures_are_taken_whole(tmp_path: Path) -> None:
    frames = faces(4, size=128)
    write_clip(tmp_path / "face.mkv", frames, Fraction(30))
    (clip,) = sharp_clips([tmp_path / "face.mkv"], 3, 128, aligned=True)
    assert np.array_equal(clip.frames, frames[:3]) and round(clip.rate) == 30
    (smaller,) = sharp_clips([tmp_path / "face.mkv"], 3, 64, aligned=True)
    assert smaller.frames[0].shape == (64, 64, 3)


def test_what_is_no_clip_is_refused_before_any_work(tmp_path: Path) -> None:
    wide = encode(tmp_path / "wide.mp4", [background(120, 160)] * 3)
    with pytest.raises(MediaError, match="160 x 120: an aligned face is square"):
        next(sharp_clips([wide], 3, 128, aligned=True))
    one = tmp_path / "one.mkv"
    write_clip(one, faces(1), Fraction(25))
    with pytest.raises(FaceError, match="only 1 frames"):
        next(sharp_clips([one], 3, 128, aligned=True))
    with pytest.raises(UsageError, match="--frames of 2 or more"):
        next(sharp_clips([], 1, 128))
    (tmp_path / "b").mkdir()
    with pytest.raises(UsageError, match="two clips are called wide"):
        next(sharp_clips([wide, tmp_path / "b" / "wide.mp4"], 3, 128))
    good = tmp_path / "good.mkv"
    write_clip(good, faces(3), Fraction(25))
    with pytest.raises(MediaError, match="no such file"):
        next(sharp_clips([good, tmp_path / "none.mp4"], 3, 128, aligned=True))
