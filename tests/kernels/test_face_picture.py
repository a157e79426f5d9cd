"""Pictures in and out: the host build, its twin, and what the CPU's frames do are one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from host_kernels import needs_compiler, run

from keeprt.engine.frame.pixels import normalise, quantise
from keeprt.kernels import launch
from keeprt.kernels.face_picture import face_from_picture, face_to_picture

SIZES = [1, 16, 37]


def at(array: Any) -> int:
    return int(array.ctypes.data)


@needs_compiler
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("size", SIZES)
def test_a_picture_becomes_what_its_twin_says(size: int, dtype: Any) -> None:
    picture = np.random.default_rng(size).integers(0, 256, (size, size, 3)).astype(np.uint8)
    face = np.zeros((3, size, size), dtype)
    half = dtype == np.float16
    run("face_picture", launch.face_from_picture(at(picture), at(face), size, half))
    np.testing.assert_array_equal(face, face_from_picture(picture, dtype))


@needs_compiler
@pytest.mark.parametrize("size", SIZES)
def test_a_face_becomes_what_its_twin_says(size: int) -> None:
    face = np.random.default_rng(size).uniform(-1.3, 1.3, (3, size, size)).astype(np.float32)
    # Halves between two levels go to the even one; what is no number goes to black.
    face.reshape(-1)[:3] = ((np.arange(3) + 0.5) / 255 * 2 - 1).astype(np.float32)
    if size > 4:
        face.reshape(-1)[3:6] = np.nan, np.inf, -np.inf
    picture = np.zeros((size, size, 3), np.uint8)
    run("face_picture", launch.face_to_picture(at(face), at(picture), size))
    np.testing.assert_array_equal(picture, face_to_picture(face))


def test_the_cpu_s_frames_convert_alike() -> None:
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    face = np.empty((3, 16, 16), np.float32)
    normalise(levels, face)
    np.testing.assert_array_equal(face, face_from_picture(levels))
    random = np.random.default_rng(0).uniform(-1.3, 1.3, (3, 64, 64)).astype(np.float32)
    np.testing.assert_array_equal(quantise(random, np.empty_like(random)), face_to_picture(random))
    np.testing.assert_array_equal(face_to_picture(face), levels)
