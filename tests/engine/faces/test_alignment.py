"""Alignment against the authors' own crops, and at sizes that they do not have."""

import cv2
import numpy as np
import pytest
from helpers_faces import DATA, authors_paste, landmarks_at, textured

from keeprt.engine.errors import FaceError
from keeprt.engine.faces.alignment import (
    BORDER_RGB,
    TEMPLATE,
    crop_face,
    estimate_transform,
    scale_transform,
)

GOLDEN = np.load(DATA / "alignment.npz")


def golden_picture(name: str):
    """BGR, as the authors' code read it."""
    pictures = np.load(DATA / "alignment_pictures.npz")["lq128"]
    if name == "large":
        return np.repeat(np.repeat(pictures[0][..., ::-1], 5, 0), 6, 1)
    small = np.ascontiguousarray(np.repeat(np.repeat(pictures[1][..., ::-1], 2, 0), 3, 1))
    factor = 512 / min(small.shape[:2])
    return cv2.resize(small, (0, 0), fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize("name", ["large", "small"])
def test_transform_and_crop_are_the_authors(name):
    picture = golden_picture(name)
    assert picture.shape == tuple(GOLDEN[f"{name}.read_shape"])
    affine = estimate_transform(GOLDEN[f"{name}.landmarks"])
    np.testing.assert_allclose(affine, GOLDEN[f"{name}.affine"], atol=1e-9)
    crop = crop_face(np.ascontiguousarray(picture[..., ::-1]), affine)[::4, ::4, ::-1]
    assert np.abs(crop.astype(int) - GOLDEN[f"{name}.crop_stride4"]).max() <= 1


@pytest.mark.parametrize("name", ["large", "small"])
def test_the_tests_own_copy_of_the_authors_paste_is_theirs(name):
    picture = golden_picture(name)
    affine = GOLDEN[f"{name}.affine"]
    crop = cv2.warpAffine(picture, affine, (512, 512), borderValue=BORDER_RGB[::-1])
    pasted = authors_paste(picture, 255 - crop, affine)[::4, ::4]
    assert np.abs(pasted.astype(int) - GOLDEN[f"{name}.pasted_stride4"]).max() <= 1


def test_outside_of_the_picture_is_the_border_colour():
    picture = textured(200, 200)
    affine = estimate_transform(landmarks_at(10, 10, 60))
    crop = crop_face(picture, affine)
    assert tuple(crop[0, 0]) == BORDER_RGB


def test_large_faces_are_smoothed_before_they_are_made_smaller():
    """A one-pixel checkerboard becomes grey in a crop of a quarter of the size."""
    board = (np.indices((2200, 2200)).sum(0) % 2 * 255).astype(np.uint8)
    picture = np.repeat(board[..., None], 3, 2)
    for shift in (0.0, 0.3, 0.7):
        affine = estimate_transform((TEMPLATE * 4.1) + shift)
        inner = crop_face(picture, affine)[50:-50, 50:-50]
        assert np.abs(inner.astype(int) - 127).max() <= 4


@pytest.mark.slow
def test_large_faces_stay_where_they_are():
    """The smoothed path and plain interpolation agree on a picture without fine detail."""
    picture = textured(2400, 2400, blur=40.0)
    affine = estimate_transform(landmarks_at(1200, 1200, eyes=400, degrees=12))
    plain = cv2.warpAffine(picture, affine, (512, 512), borderValue=BORDER_RGB)
    difference = np.abs(crop_face(picture, affine).astype(int) - plain)
    assert difference[30:-30, 30:-30].max() <= 3


def test_enlarging_the_frame_keeps_the_face_on_the_template():
    affine = estimate_transform(landmarks_at(100, 120))
    twice = scale_transform(affine, 2.0)
    points = landmarks_at(100, 120)
    enlarged = points * 2 + 0.5
    np.testing.assert_allclose(
        enlarged @ twice[:, :2].T + twice[:, 2], points @ affine[:, :2].T + affine[:, 2], atol=1e-9
    )


@pytest.mark.parametrize(
    "landmarks", [np.full((5, 2), np.nan), np.zeros((5, 2)), np.zeros((4, 2)), np.full((5, 2), 7.0)]
)
def test_landmarks_without_extent_are_refused(landmarks):
    with pytest.raises(FaceError, match="cannot align"):
        estimate_transform(landmarks)
