"""Tracks as pure functions: birth, gaps, ends, jumps, crossings, cuts."""

import numpy as np
import pytest
from helpers_faces import face_at

from keeprt.engine.errors import UsageError
from keeprt.engine.faces.tracks import TrackOptions, Tracks, advance, reset

OPTIONS = TrackOptions(min_hits=3, max_gap=5)


def play(frames, options=OPTIONS):
    """Tracks after each frame, and all tracks that ended; frames: lists of detections or None."""
    tracks, history, ended = Tracks(), [], []
    for number, detections in enumerate(frames):
        step = advance(tracks, detections, number, options)
        tracks = step.tracks
        history.append(tracks.living)
        ended += step.ended
    return history, ended


def test_one_face_is_one_track_confirmed_at_the_third_hit():
    history, ended = play([[face_at(100 + i, 100)] for i in range(10)])
    assert [[t.id for t in living] for living in history] == [[1]] * 10
    assert [living[0].confirmed for living in history] == [False, False] + [True] * 8
    assert history[-1][0].first == 0
    assert not ended


def test_two_faces_keep_their_ids_when_the_order_of_detections_changes():
    frames = []
    for i in range(8):
        pair = [face_at(100, 100), face_at(300, 100)]
        frames.append(pair if i % 2 else pair[::-1])
    history, _ = play(frames)
    places = {t.id: t.detection.landmarks.mean(0)[0] for t in history[0]}
    for living in history:
        assert {t.id: t.detection.landmarks.mean(0)[0] for t in living} == pytest.approx(places)


def test_two_people_who_cross_keep_their_ids():
    """They pass each other at the distance of half a face; motion tells who is who."""
    frames = [[face_at(100 + 6 * i, 100), face_at(400 - 6 * i, 165)] for i in range(50)]
    history, ended = play(frames)
    assert not ended
    assert len(history[-1]) == 2
    ends = {t.id: t.detection.landmarks.mean(0) for t in history[-1]}
    starts = {t.id: t.detection.landmarks.mean(0) for t in history[0]}
    for key in starts:
        assert ends[key][1] == pytest.approx(starts[key][1])


def test_a_gap_is_survived_up_to_its_limit():
    face = [face_at(100, 100)]
    survived, _ = play([face] * 5 + [[]] * 5 + [face] * 3)
    assert [t.id for t in survived[-1]] == [1]
    assert survived[-1][0].missed is None
    lost, ended = play([face] * 5 + [[]] * 6 + [face] * 3)
    assert [t.id for t in lost[-1]] == [2]
    assert [(t.id, t.last, t.missed) for t in ended] == [(1, 4, 5)]


def test_frames_in_which_nobody_looked_end_nothing():
    face = [face_at(100, 100)]
    history, ended = play([face] * 3 + [None] * 20 + [face])
    assert [t.id for t in history[-1]] == [1]
    assert not ended


def test_a_moving_face_is_found_again_after_a_gap():
    frames = [[face_at(100 + 20 * i, 100)] for i in range(12)]
    frames[6] = frames[7] = frames[8] = []
    history, _ = play(frames)
    assert [t.id for t in history[-1]] == [1]


@pytest.mark.parametrize(
    "after",
    [face_at(160, 100), face_at(100, 160), face_at(100, 100, eyes=110), face_at(100, 100, eyes=35)],
)
def test_a_jump_or_another_size_is_another_face(after):
    history, ended = play([[face_at(100, 100)]] * 5 + [[after]] * 8)
    assert [t.id for t in history[-1]] == [2]
    assert [(t.id, t.last) for t in ended] == [(1, 4)]


def test_a_single_false_alarm_is_never_confirmed():
    history, ended = play([[], [face_at(100, 100)], [], [], [face_at(100, 100)], [], []])
    assert not any(t.confirmed for living in history for t in living)
    assert not any(t.confirmed for t in ended)


def test_reset_ends_all_and_never_gives_an_id_twice():
    tracks = Tracks()
    for i in range(4):
        tracks = advance(tracks, [face_at(100, 100)], i, OPTIONS).tracks
    step = reset(tracks, OPTIONS)
    assert [t.id for t in step.ended] == [1]
    assert not step.tracks.living
    after = advance(step.tracks, [face_at(100, 100)], 4, OPTIONS).tracks
    assert [t.id for t in after.living] == [2]


@pytest.mark.parametrize(("length", "believed"), [(1, True), (2, True), (3, True)])
def test_a_face_in_every_frame_of_a_short_shot_is_believed(length, believed):
    tracks = Tracks()
    for i in range(length):
        tracks = advance(tracks, [face_at(100, 100)], i, OPTIONS).tracks
    assert [t.confirmed for t in reset(tracks, OPTIONS).ended] == [believed]


def test_a_face_in_the_last_frame_of_a_long_shot_alone_is_not_believed():
    tracks = Tracks()
    for i in range(20):
        found = [face_at(100, 100)] if i == 19 else []
        tracks = advance(tracks, found, i, OPTIONS).tracks
    assert [t.confirmed for t in reset(tracks, OPTIONS).ended] == [False]


def test_arguments_are_not_changed():
    tracks = advance(Tracks(), [face_at(100, 100)], 0, OPTIONS).tracks
    before = tracks.living[0].detection.landmarks.copy()
    advance(tracks, [face_at(105, 100)], 1, OPTIONS)
    assert tracks.living[0].last == 0
    assert np.array_equal(tracks.living[0].detection.landmarks, before)


def test_options_that_make_no_sense_are_refused():
    with pytest.raises(UsageError, match="min_hits"):
        TrackOptions(min_hits=0)
