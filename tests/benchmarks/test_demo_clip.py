"""The demo clip: a face in its place, moving little and smoothly, and visibly degraded."""

import sys
from fractions import Fraction

import cv2
import numpy as np
import pytest

from keeprt.benchmarks.demo_clip import demo_clip
from keeprt.engine.errors import UsageError
from keeprt.engine.faces.alignment import TEMPLATE
from keeprt.export.training.portrait import PORTRAIT_LANDMARKS, portrait_to_face

CORNERS = np.array([[0, 0], [511, 0], [0, 511], [511, 511]])


def moved(points: np.ndarray, transform: np.ndarray) -> np.ndarray:
    return points @ transform[:2, :2].T + transform[:2, 2]


def landmarks(size: int = 512, seed: int = 0, seconds: float = 8.0) -> np.ndarray:
    """(frames, 5, 2) positions in the face frame at 25 fps."""
    times = np.arange(0, seconds, 0.04)
    return np.array([moved(PORTRAIT_LANDMARKS, portrait_to_face(t, size, seed)) for t in times])


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((first.astype(float) - second) ** 2)))


@pytest.fixture(scope="module", autouse=True)
def _portrait() -> None:
    pytest.importorskip("skimage")


def test_clip_is_what_it_says() -> None:
    clip = demo_clip(4)
    assert clip.rate == Fraction(25)
    assert len(clip.sharp) == len(clip.degraded) == 4
    for frame in clip.sharp + clip.degraded:
        assert frame.shape == (512, 512, 3)
        assert frame.dtype == np.uint8


def test_same_arguments_give_the_same_bytes_and_a_seed_another_clip() -> None:
    first, second, other = (demo_clip(3, size=128, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.sharp, second.sharp)
    np.testing.assert_array_equal(first.degraded, second.degraded)
    assert not np.array_equal(first.sharp, other.sharp)


def test_a_longer_clip_begins_like_a_shorter_one() -> None:
    np.testing.assert_array_equal(demo_clip(5, size=64).sharp[:2], demo_clip(2, size=64).sharp)


def test_degraded_frames_are_poor_versions_of_the_sharp_ones() -> None:
    clip = demo_clip(10)
    qualities = [psnr(sharp, poor) for sharp, poor in zip(clip.sharp, clip.degraded, strict=True)]
    assert min(qualities) > 20
    assert max(qualities) < 32


@pytest.mark.parametrize("seed", range(5))
def test_face_stays_near_the_template_and_moves_smoothly(seed: int) -> None:
    positions = landmarks(seed=seed)
    assert np.linalg.norm(positions.mean(axis=0) - TEMPLATE, axis=-1).max() < 20
    steps = np.diff(positions, axis=0)
    assert np.linalg.norm(steps, axis=-1).max() < 3
    assert np.linalg.norm(np.diff(steps, axis=0), axis=-1).max() < 0.5
    # and it does move
    assert np.ptp(positions, axis=0).min() > 3


@pytest.mark.parametrize("seed", range(5))
def test_frame_never_leaves_the_portrait(seed: int) -> None:
    for time_s in np.arange(0, 20, 0.1):
        corners = moved(CORNERS, np.linalg.inv(portrait_to_face(time_s, 512, seed)))
        assert corners.min() >= 0
        assert corners.max() <= 511


def test_a_smaller_face_shows_the_same() -> None:
    """Averaging the large frame by blocks gives the small one, not shifted by a fraction."""
    large, small = (demo_clip(1, size=size).sharp[0].astype(np.float32) for size in (512, 128))
    blocks = large.reshape(128, 4, 128, 4, 3).mean(axis=(1, 3))
    (shift_x, shift_y), _ = cv2.phaseCorrelate(blocks.mean(axis=2), small.mean(axis=2))
    assert max(abs(shift_x), abs(shift_y)) < 0.1


def test_eyes_are_where_the_template_says() -> None:
    """The pupils are the darkest spots of the face's upper half."""
    frame = demo_clip(1).sharp[0].astype(float).mean(axis=2)
    pupils = moved(PORTRAIT_LANDMARKS, portrait_to_face(0.0, 512, 0))[:2]
    for x, y in pupils.round().astype(int):
        assert frame[y - 4 : y + 5, x - 4 : x + 5].mean() < 70
        assert frame[y + 35 : y + 45, x - 4 : x + 5].mean() > 120


def test_missing_scikit_image_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    with pytest.raises(UsageError, match=r"\[demo\]"):
        demo_clip(1)


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(UsageError, match="0 frames"):
        demo_clip(0)
