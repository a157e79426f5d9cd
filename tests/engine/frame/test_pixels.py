"""Between 8-bit pictures and the network's range, bit for bit as the authors' script does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from keeprt.engine.errors import UsageError
from keeprt.engine.frame.pixels import check_face, normalise, quantise
from tests.goldens import to_tensor

ALL_LEVELS = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)


def test_every_level_becomes_what_pytorch_makes_of_it() -> None:
    picture = np.random.default_rng(0).permutation(ALL_LEVELS.ravel()).reshape(16, 16, 3)
    planes = np.empty((3, 16, 16), np.float32)
    normalise(picture, planes)
    assert np.array_equal(planes, to_tensor(picture)[0].numpy())
    assert planes.min() == -1
    assert planes.max() == 1


def test_channels_stay_in_order() -> None:
    picture = np.zeros((2, 2, 3), np.uint8)
    picture[0, 1] = (255, 128, 0)
    planes = np.empty((3, 2, 2), np.float32)
    normalise(picture, planes)
    np.testing.assert_allclose(planes[:, 0, 1], [1, 0.00392163, -1], atol=1e-6)


def test_a_picture_comes_back() -> None:
    planes, scratch = np.empty((2, 3, 16, 16), np.float32)
    normalise(ALL_LEVELS, planes)
    assert np.array_equal(quantise(planes, scratch), ALL_LEVELS)


def test_rounding_and_clamping_are_pytorchs() -> None:
    random = np.random.default_rng(1)
    face = (random.standard_normal((3, 64, 64)) * 1.5).astype(np.float32)
    halves = ((np.arange(255) + 0.5) / 255 * 2 - 1).astype(np.float32)
    face[0].ravel()[:255] = halves
    face[1, 0, :4] = [-1, 1, -40, 40]
    kept = face.copy()
    expected = ((torch.from_numpy(face).clamp(-1, 1) + 1) / 2).mul(255).round().byte()
    picture = quantise(face, np.empty_like(face))
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    assert np.array_equal(picture, expected.permute(1, 2, 0).numpy())
    assert np.array_equal(face, kept), "the unclamped face is what the next frame is warped from"


@pytest.mark.parametrize(
    ("face", "found"),
    [
        (np.zeros((64, 64, 3), np.float32), "float32"),
        (np.zeros((64, 64), np.uint8), "(64, 64)"),
        (np.zeros((64, 64, 4), np.uint8), "(64, 64, 4)"),
        (np.zeros((3, 64, 64), np.uint8), "(3, 64, 64)"),
        (np.zeros((64, 32, 3), np.uint8), "(64, 32, 3)"),
        (np.zeros((1, 64, 64, 3), np.uint8), "(1, 64, 64, 3)"),
        (np.zeros((64, 64, 3), np.uint16), "uint16"),
        (None, "NoneType"),
        ([[1, 2, 3]], "list"),
    ],
)
def test_other_faces_are_refused(face: np.ndarray, found: str) -> None:
    with pytest.raises(UsageError, match=r"uint8 of shape \(64, 64, 3\)") as caught:
        check_face(face, 64)
    assert found in str(caught.value)
