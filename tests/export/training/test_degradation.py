"""The degradation of Eq. 9: deterministic, every parameter matters, frames keep order and size."""

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from keeprt.engine.errors import UsageError
from keeprt.export.training.degradation import Degradation, compress, degrade

CLEAN = Degradation(blur_sigma=0, downscale=1, noise_sigma=0, crf=0)
POOR = Degradation(blur_sigma=1.5, downscale=4, noise_sigma=8, crf=30, seed=3)


def clip(height: int = 64, width: int = 96, count: int = 8) -> list[np.ndarray]:
    """A textured picture of one hue that drifts to the right and grows brighter."""
    texture = np.random.default_rng(0).uniform(0, 255, (height, width)).astype(np.float32)
    texture = cv2.normalize(cv2.GaussianBlur(texture, (0, 0), 3), None, 20, 140, cv2.NORM_MINMAX)
    tinted = texture[..., None] * np.float32([1.0, 0.9, 0.8])
    return [np.roll(tinted + 12 * index, index, axis=1).astype(np.uint8) for index in range(count)]


def error(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    """Root mean square difference in 8-bit levels."""
    return float(np.sqrt(np.mean((np.array(first, float) - np.array(second, float)) ** 2)))


def test_same_arguments_give_the_same_bytes() -> None:
    first, second = degrade(clip(), POOR, 25), degrade(clip(), POOR, 25)
    assert [frame.tobytes() for frame in first] == [frame.tobytes() for frame in second]


def test_frames_keep_size_type_and_order() -> None:
    frames = clip()
    result = degrade(frames, POOR, Fraction(30000, 1001))
    assert len(result) == len(frames)
    for index, frame in enumerate(result):
        assert frame.shape == (64, 96, 3)
        assert frame.dtype == np.uint8
        nearest = min(range(len(frames)), key=lambda other: error([frames[other]], [frame]))
        assert nearest == index


@pytest.mark.parametrize("size", [(1, 1), (31, 33), (50, 62), (63, 64)])
def test_any_size(size: tuple[int, int]) -> None:
    frames = clip(*size, count=3)
    assert [frame.shape for frame in degrade(frames, POOR, 25)] == [(*size, 3)] * 3


def test_nothing_asked_changes_almost_nothing() -> None:
    """What is left is the rounding and the half-size colour of 8-bit 4:2:0."""
    assert error(degrade(clip(), CLEAN, 25), clip()) < 2.0


def test_odd_sides_are_not_stretched() -> None:
    frame = np.zeros((31, 33, 3), np.uint8)
    frame[:, 16:] = frame[15:] = 255
    assert error(degrade([frame], CLEAN, 25), [frame]) < 2.0


def test_colours_keep_their_channels() -> None:
    frame = np.zeros((32, 32, 3), np.uint8)
    frame[...] = (200, 40, 90)
    mean = degrade([frame], CLEAN, 25)[0].reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(mean, (200, 40, 90), atol=3)


@pytest.mark.parametrize(
    "change", [{"blur_sigma": 2.0}, {"downscale": 4}, {"noise_sigma": 10.0}, {"crf": 40}]
)
def test_each_step_makes_it_worse(change: dict[str, float]) -> None:
    worse = degrade(clip(), replace(CLEAN, **change), 25)  # type: ignore[arg-type]
    assert error(worse, clip()) > 1.2 * error(degrade(clip(), CLEAN, 25), clip())


def test_noise_has_the_sigma_that_was_asked_for_and_follows_the_seed() -> None:
    grey = [np.full((64, 64, 3), 128, np.uint8)] * 4
    noisy = degrade(grey, replace(CLEAN, noise_sigma=6.0), 25)
    # green weighs most in luma, which 4:2:0 keeps at full size
    luma = np.array(noisy, float) @ [0.299, 0.587, 0.114]
    assert luma.std() == pytest.approx(6.0 * np.linalg.norm([0.299, 0.587, 0.114]), rel=0.1)
    other = degrade(grey, replace(CLEAN, noise_sigma=6.0, seed=1), 25)
    assert error(noisy, other) > 3
    assert error(noisy[:1], noisy[1:2]) > 3


def test_blur_has_the_sigma_that_was_asked_for() -> None:
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[:, 32:] = 200
    edge = degrade([frame], replace(CLEAN, blur_sigma=4.0), 25)[0][32, :, 1].astype(float)
    spread = np.clip(np.diff(edge), 0, None)
    spread /= spread.sum()
    centre = spread @ np.arange(63)
    assert np.sqrt(spread @ (np.arange(63) - centre) ** 2) == pytest.approx(4.0, rel=0.1)


def test_compression_depends_on_the_neighbours() -> None:
    """A video codec, not one picture after the other."""
    alone = compress(clip()[3:4], 35, 25)
    assert error(alone, compress(clip(), 35, 25)[3:4]) > 0.1


def test_no_frames() -> None:
    assert degrade([], POOR, 25) == []


@pytest.mark.parametrize(
    "change",
    [{"blur_sigma": -1.0}, {"downscale": 0}, {"noise_sigma": float("nan")}, {"crf": 52}],
)
def test_impossible_parameters_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="crf 0 to 51"):
        replace(POOR, **change)  # type: ignore[arg-type]


def test_unequal_and_foreign_frames_are_refused() -> None:
    with pytest.raises(UsageError, match="frame 1 has size"):
        degrade([clip()[0], clip(32, 32)[0]], POOR, 25)
    with pytest.raises(UsageError, match="uint8"):
        degrade([clip()[0].astype(np.float32)], POOR, 25)  # type: ignore[list-item]
