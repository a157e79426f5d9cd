"""Landmark files: what is written is read back, and nothing damaged is believed."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers_faces import face_at

from keeprt.engine.errors import FaceError
from keeprt.engine.faces.landmark_file import FrameFaces, LandmarkWriter, read_landmarks

FRAMES = [
    FrameFaces([face_at(100.12345, 50)], cut=False),
    FrameFaces(None),
    FrameFaces([], cut=True),
    FrameFaces([face_at(10, 20), face_at(300, 40, eyes=30, score=0.51)]),
]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "faces.jsonl"
    with LandmarkWriter(path, 640, 360) as writer:
        for frame in FRAMES:
            writer.write(frame)
    return path


def test_what_is_written_is_read_back(path):
    read = list(read_landmarks(path, 640, 360))
    assert [f.cut for f in read] == [f.cut for f in FRAMES]
    assert [f.detections is None for f in read] == [False, True, False, False]
    for old, new in zip(FRAMES, read, strict=True):
        for a, b in zip(old.detections or [], new.detections or [], strict=True):
            np.testing.assert_allclose(a.landmarks, b.landmarks, atol=5.1e-4)
            np.testing.assert_allclose(a.box, b.box, atol=5.1e-4)
            assert a.score == pytest.approx(b.score)


def test_a_run_that_fails_leaves_no_file_and_an_old_one_alone(path):
    before = path.read_bytes()
    with pytest.raises(RuntimeError), LandmarkWriter(path, 640, 360) as writer:
        writer.write(FRAMES[0])
        raise RuntimeError
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("other", [None, KeyError("another failure")])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, other):
    with (
        pytest.raises((FaceError, KeyError)) as told,
        LandmarkWriter(tmp_path / "faces.jsonl", 640, 360) as writer,
    ):
        writer._file.close()
        writer._file = Path("/dev/full").open("w")  # noqa: SIM115 (the writer closes it)
        writer.write(FRAMES[0])
        if other is not None:
            raise other
    assert told.value is other or "No space left on device" in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_another_video_is_noticed_by_its_size(path):
    with pytest.raises(FaceError, match="640x360, this one has 360x640"):
        list(read_landmarks(path, 360, 640))


def change(lines, number, **values):
    content = json.loads(lines[number])
    content.update(values)
    return [*lines[:number], json.dumps(content), *lines[number + 1 :]]


def face(**values):
    good = {"box": [0, 0, 9, 9], "score": 0.5, "landmarks": [[1, 2]] * 5}
    return [{**good, **values}]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda lines: [], "line 1: not JSON"),
        (lambda lines: change(lines, 0, keeprt_faces=2), "version 1"),
        (lambda lines: lines[:-1], "cut short after 4 frames"),
        (lambda lines: lines[:1], "cut short after 0 frames"),
        (lambda lines: [*lines[:2], *lines[3:]], "line 3: expected frame 1"),
        (lambda lines: [*lines[:2], lines[2][:9], *lines[3:]], "line 3: not JSON"),
        (lambda lines: [*lines[:2], "[]", *lines[3:]], "line 3: expected a JSON object"),
        (lambda lines: change(lines, 5, frames=7), "line 6: .*number of frames"),
        (lambda lines: [*lines, lines[1]], "line 6: .*number of frames"),
        (lambda lines: change(lines, 1, cut=1), "line 2: cut is"),
        (lambda lines: change(lines, 1, extra=1), "line 2: expected frame 0"),
        (lambda lines: change(lines, 1, faces=face(box=[0, 0, 1])), "line 2: .*shape"),
        (lambda lines: change(lines, 1, faces=face(box=[5, 5, 5, 9])), "line 2: .*empty"),
        (lambda lines: change(lines, 1, faces=face(score="high")), "line 2: .*no numbers"),
        (lambda lines: change(lines, 1, faces=face(landmarks=[[1, 2]] * 4)), "line 2: .*shape"),
        (lambda lines: change(lines, 1, faces=face(score=float("nan"))), "line 2: .*finite"),
        (lambda lines: change(lines, 1, faces=face(more=1)), "line 2: a face has"),
        (lambda lines: change(lines, 1, faces=[3]), "line 2: a face has"),
    ],
)
def test_damage_is_refused_where_it_is(path, damage, says):
    path.write_text("\n".join(damage(path.read_text().splitlines())))
    with pytest.raises(FaceError, match=says):
        list(read_landmarks(path, 640, 360))


def test_a_place_that_is_no_number_is_not_written(tmp_path):
    face = face_at(float("nan"), 50)
    with (
        pytest.raises(FaceError, match="frame 0"),
        LandmarkWriter(tmp_path / "f", 64, 36) as writer,
    ):
        writer.write(FrameFaces([face]))
    assert not list(tmp_path.iterdir())


def test_missing_places_are_named(tmp_path):
    with pytest.raises(FaceError, match=r"cannot read landmarks from .*gone"):
        list(read_landmarks(tmp_path / "gone", 640, 360))
    with pytest.raises(FaceError, match="cannot write landmarks to"):
        LandmarkWriter(tmp_path / "no" / "such", 640, 360)
