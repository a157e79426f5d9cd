"""Smoothing over time: the authors' track, memory, jitter of a still head, lag of a moving one."""

import numpy as np
import pytest
from helpers_faces import DATA, landmarks_at
from scipy.ndimage import gaussian_filter1d

from keeprt.engine.faces.alignment import estimate_transform
from keeprt.engine.faces.smoothing import LookaheadSmoother, smooth_causally

GOLDEN = np.load(DATA / "alignment.npz")


def smooth_track(track):
    smoother = LookaheadSmoother()
    ready = [sample for row in track for sample in smoother.push(row)]
    return np.stack(ready + smoother.finish())


def causal_track(track):
    state, smoothed = None, []
    for landmarks in track:
        state = smooth_causally(state, landmarks)
        smoothed.append(state.smooth)
    return np.stack(smoothed)


def test_is_the_authors_smoothing():
    smoothed = smooth_track(GOLDEN["track_filled"])
    np.testing.assert_allclose(smoothed, GOLDEN["track_smooth"], atol=1e-9)


@pytest.mark.parametrize("length", [1, 2, 7, 20, 21, 41, 100])
def test_is_scipys_gaussian_with_mirrored_ends_at_every_length(length):
    track = np.random.RandomState(length).standard_normal((length, 5, 2))
    want = gaussian_filter1d(track, 5, axis=0, mode="reflect")
    np.testing.assert_allclose(smooth_track(track), want, atol=1e-12)


def test_gives_each_sample_after_the_lookahead_and_keeps_no_more_than_the_window():
    smoother = LookaheadSmoother(lookahead=20)
    given = [len(smoother.push(np.zeros((5, 2)))) for _ in range(500)]
    assert given == [0] * 20 + [1] * 480
    assert len(smoother._samples) <= 41
    assert len(smoother.finish()) == 20


def crop_jitter(track):
    """Five crop points seen in the frame: RMS about their mean, RMS from frame to frame, in px."""
    points = np.array([[100, 100], [412, 100], [256, 256], [100, 412], [412, 412.0]])
    seen = []
    for landmarks in track:
        affine = estimate_transform(landmarks)
        seen.append(np.linalg.solve(affine[:, :2], (points - affine[:, 2]).T).T)
    seen = np.array(seen)
    about = np.sqrt(((seen - seen.mean(0)) ** 2).sum(-1).mean())
    return about, np.sqrt((np.diff(seen, axis=0) ** 2).sum(-1).mean())


@pytest.mark.parametrize("smooth", [smooth_track, causal_track])
@pytest.mark.parametrize("eyes", [30, 60, 120])
def test_a_still_head_jitters_four_times_less(smooth, eyes):
    noise = np.random.RandomState(1).standard_normal((600, 5, 2))
    raw = landmarks_at(500, 400, eyes) + noise
    before, after = crop_jitter(raw[60:]), crop_jitter(smooth(raw)[60:])
    assert before[0] >= 4 * after[0]
    assert before[1] >= 8 * after[1]


@pytest.mark.parametrize("motion", ["shift", "turn", "growth"])
def test_the_causal_filter_is_less_than_two_frames_late_on_a_moving_head(motion):
    frames = np.arange(200)
    steps = np.maximum(frames - 80, 0)
    path = {
        "shift": lambda s: landmarks_at(300 + 3 * s, 400, 60),
        "turn": lambda s: landmarks_at(300, 400, 60, degrees=3 * s),
        "growth": lambda s: landmarks_at(300, 400, 60 * 1.03**s),
    }[motion]
    true = np.array([path(s) for s in steps])
    noisy = true + np.random.RandomState(2).standard_normal(true.shape)
    smoothed = causal_track(noisy)[120:140]
    speed = np.linalg.norm(true[121:141] - true[120:140], axis=-1).mean()
    late = np.linalg.norm(smoothed - true[120:140], axis=-1).mean() / speed
    assert late < 2.0
