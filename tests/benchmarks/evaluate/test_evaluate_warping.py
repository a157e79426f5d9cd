"""Flow-warping error: nothing for what moves as the sharp clip does, much for what flickers."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from keeprt.benchmarks.evaluate.warping import clip_motion, warping_errors
from tests.networks import faces

Clip = list[np.ndarray]


def flickering(clip: Clip, step: int) -> Clip:
    """Every other frame brighter by so many levels."""
    return [np.clip(frame.astype(int) + step * (t % 2), 0, 255).astype(np.uint8)
            for t, frame in enumerate(clip)]  # fmt: skip


def errors(sharp: Clip, clip: Clip) -> np.ndarray:
    first, *rest = warping_errors(clip_motion(sharp), clip)
    assert first is None and len(rest) == len(clip) - 1
    return np.array(rest, float)


@pytest.fixture(scope="module")
def moving() -> Clip:
    """Texture that moves by 3 pixels to the left and 2 up in every frame (see `faces`)."""
    return [np.asarray(frame // 2 + 20, np.uint8) for frame in faces(5)]


def test_a_still_clip_has_none(moving: Clip) -> None:
    still = moving[:1] * 4
    assert (errors(still, still) == 0).all()


def test_a_still_clip_that_flickers_has_exactly_its_step(moving: Clip) -> None:
    still = moving[:1] * 4
    np.testing.assert_allclose(errors(still, flickering(still, 25)), (25 / 255) ** 2, rtol=1e-5)


def test_what_moves_as_the_sharp_clip_has_little_and_flicker_much(moving: Clip) -> None:
    own, flicker = errors(moving, moving), errors(moving, flickering(moving, 25))
    unwarped = [np.square((b.astype(float) - a) / 255).mean()
                for a, b in pairwise(moving)]  # fmt: skip
    assert (own < 0.02 * np.array(unwarped)).all()
    np.testing.assert_allclose(flicker, (25 / 255) ** 2, rtol=0.1)
    assert (flicker > 30 * own).all()


def test_what_stands_still_while_the_sharp_clip_moves_has_much(moving: Clip) -> None:
    assert (errors(moving, moving[:1] * 5) > 100 * errors(moving, moving)).all()


def test_flow_is_that_of_the_movement(moving: Clip) -> None:
    motion = clip_motion(moving)[0]
    rows, columns = np.mgrid[:128, :128]
    inner = (slice(16, -16), slice(16, -16))
    flow = motion.source - np.stack([columns, rows], axis=-1)
    assert motion.seen[inner].mean() > 0.98
    np.testing.assert_allclose(np.median(flow[inner], axis=(0, 1)), (3, 2), atol=0.05)


def test_what_comes_from_outside_or_was_hidden_does_not_count() -> None:
    """A square moves to the right over texture: what it uncovers on its left was hidden."""
    texture = faces(1)[0]
    clip = []
    for t in range(2):
        frame = texture.copy()
        patch = cv2.flip(texture, 0)[40:88, 40:88]
        frame[40:88, 30 + 8 * t : 78 + 8 * t] = 255 - patch // 2
        clip.append(frame)
    motion = clip_motion(clip)[0]
    uncovered = motion.seen[44:84, 31:37]
    assert uncovered.mean() < 0.35 < 0.9 < motion.seen[:, 90:].mean()
    moved = clip_motion(faces(2))[0]
    assert not moved.seen[:, -2:].any() and not moved.seen[-1:].any()


def test_half_a_pixel_from_outside_does_not_count_either() -> None:
    texture = faces(1)[0]
    # the second frame shows what lies half a pixel further to the left
    matrix = np.array([[1, 0, 0.5], [0, 1, 0]])
    moved = cv2.warpAffine(texture, matrix, (128, 128), borderMode=cv2.BORDER_REFLECT)
    motion = clip_motion([texture, moved])[0]
    assert motion.seen[:, 1:].mean() > 0.95 and not motion.seen[:, 0].any()


def test_nothing_seen_twice_has_no_value(moving: Clip) -> None:
    motion = clip_motion(moving[:2])[0]
    motion.seen[...] = False
    assert warping_errors([motion], moving[:2]) == [None, None]
