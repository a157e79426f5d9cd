"""The timeline against the same thing computed with the whole video known."""

import tracemalloc

import numpy as np
import pytest
from helpers_faces import face_at
from scipy.ndimage import gaussian_filter1d

from keeprt.engine.errors import UsageError
from keeprt.engine.faces.timeline import Timeline, full_lookahead
from keeprt.engine.faces.tracks import TrackOptions

OPTIONS = TrackOptions(min_hits=3, max_gap=6)


def play(frames, cuts=(), lookahead=None):
    timeline = Timeline(OPTIONS, lookahead)
    faces = [f for i, d in enumerate(frames) for f in timeline.push(d, cut=i in cuts)]
    faces += timeline.finish()
    assert len(faces) == len(frames)
    return faces


def shown(faces):
    """Frames in which each track is shown."""
    found = {}
    for i, frame in enumerate(faces):
        for face in frame:
            found.setdefault(face.track, []).append(i)
    return found


def walk(length, seed=0):
    steps = np.random.RandomState(seed).standard_normal((length, 2)).cumsum(0)
    return [[face_at(200 + x, 200 + y)] for x, y in steps]


@pytest.mark.parametrize("length", [1, 2, 5, 30, 100])
def test_smoothing_is_that_of_the_whole_track(length):
    frames = walk(length)
    raw = np.array([f[0].landmarks for f in frames])
    faces = play(frames)
    assert shown(faces) == {1: list(range(length))}
    smoothed = np.array([f[0].landmarks for f in faces])
    want = gaussian_filter1d(raw, 5, axis=0, mode="reflect")
    np.testing.assert_allclose(smoothed, want, atol=1e-9)


@pytest.mark.parametrize("start", [1, 20, 57])
def test_gaps_are_interpolated_and_then_smoothed(start):
    frames = walk(60 + start)
    raw = np.array([f[0].landmarks for f in frames])
    gap = np.arange(start + 2, start + 7)
    for i in gap:
        frames[i] = []
    weight = ((gap - (start + 1)) / 6)[:, None, None]
    raw[gap] = raw[start + 1] * (1 - weight) + raw[start + 7] * weight
    faces = play(frames)
    assert shown(faces) == {1: list(range(len(frames)))}
    assert [i for i, f in enumerate(faces) if not f[0].seen] == list(gap)
    want = gaussian_filter1d(raw, 5, axis=0, mode="reflect")
    np.testing.assert_allclose(np.array([f[0].landmarks for f in faces]), want, atol=1e-9)


def test_nothing_is_shown_where_nobody_is():
    face = [face_at(200, 200)]
    faces = play([[]] * 4 + [face] * 10 + [[]] * 30 + [face] * 10 + [[]] * 4)
    assert shown(faces) == {1: list(range(4, 14)), 2: list(range(44, 54))}


def test_a_track_begins_at_its_first_hit_and_a_false_alarm_is_not_shown():
    face = [face_at(200, 200)]
    faces = play([[], face, [], [], [], [], *([face] * 20)])
    assert list(shown(faces).values()) == [list(range(6, 26))]


def test_every_third_frame_is_enough():
    frames = [d if i % 3 == 0 else None for i, d in enumerate(walk(50))]
    faces = play(frames)
    assert shown(faces) == {1: list(range(50))}, "the frames after the last look are held"


def test_frames_after_the_last_look_are_held_up_to_the_miss():
    face = [face_at(200, 200)]
    faces = play(
        [face, None, None, face, None, None, face, None, None, [], *([None, None, []] * 9)]
    )
    assert shown(faces) == {1: list(range(9))}


@pytest.mark.parametrize("lookahead", [None, 6, 0])
def test_a_cut_ends_all_tracks_and_nothing_is_smoothed_across_it(lookahead):
    frames = [[face_at(200, 200)]] * 20 + [[face_at(205, 200)]] * 20
    faces = play(frames, cuts={20}, lookahead=lookahead)
    late = 2 if lookahead == 0 else 0
    assert shown(faces) == {1: list(range(late, 20)), 2: list(range(20 + late, 40))}
    before = np.array([f[0].landmarks for f in faces[late:20]])
    np.testing.assert_allclose(before, np.broadcast_to(frames[0][0].landmarks, before.shape))


def test_each_frame_is_given_after_the_lookahead():
    timeline = Timeline(OPTIONS)
    assert timeline.lookahead == full_lookahead(OPTIONS) == 26
    given = [len(timeline.push(d)) for d in walk(100)]
    assert given == [0] * 26 + [1] * 74
    assert len(timeline.finish()) == 26
    live = Timeline(OPTIONS, lookahead=0)
    assert [len(live.push(d)) for d in walk(5)] == [1] * 5


def test_live_a_gap_is_faded_through_and_the_face_comes_back():
    face = [face_at(200, 200)]
    faces = play([face] * 5 + [[]] * 4 + [face] * 5 + [[]] * 20, lookahead=0)
    assert shown(faces) == {1: [*range(2, 8), *range(9, 17)]}
    weights = {i: f[0].weight for i, f in enumerate(faces) if f and not f[0].seen}
    assert weights == {5: 0.75, 6: 0.5, 7: 0.25, 14: 0.75, 15: 0.5, 16: 0.25}


def test_two_faces_do_not_mix():
    left, right = walk(80, 1), walk(80, 2)
    both = [
        [one, face_at(two.landmarks[2, 0] + 300, two.landmarks[2, 1])]
        for (one,), (two,) in zip(left, right, strict=True)
    ]
    alone = play(left)
    together = play(both)
    for one, two in zip(alone, together, strict=True):
        np.testing.assert_allclose(one[0].landmarks, two[0].landmarks)


def test_memory_does_not_grow():
    timeline = Timeline(OPTIONS)
    face = [face_at(200, 200)]

    def run(frames):
        for i in range(frames):
            timeline.push(face if i % 40 < 25 else [], cut=i % 300 == 299)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    early = run(600)
    late = run(3000)
    tracemalloc.stop()
    assert late - early < 20_000


def test_a_lookahead_shorter_than_a_gap_is_refused():
    with pytest.raises(UsageError, match="at least 6"):
        Timeline(OPTIONS, lookahead=3)
