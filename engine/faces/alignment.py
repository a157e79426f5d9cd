"""The similarity that lays a face on the network's template, and the crop it cuts."""

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from keeprt.engine.errors import FaceError
from keeprt.engine.faces.detection import Points, Rgb
from keeprt.engine.faces.painting.prefilter import footprint, invert, warp, warp_smoothed

FACE_SIZE = 512
# Where the five landmarks lie in an aligned face: x, y of left eye, right eye, nose, left and right
# mouth corner, as seen in the picture.
TEMPLATE = np.array(
    [
        [192.98138, 239.94708],
        [318.90277, 240.1936],
        [256.63416, 314.01935],
        [201.26117, 371.41043],
        [313.08905, 371.15118],
    ]
)
BORDER_RGB = (132, 133, 135)
FREE_STEP = 2.0

Affine = npt.NDArray[np.float64]


def estimate_transform(landmarks: Points, size: int = FACE_SIZE) -> Affine:
    """Similarity (2, 3) float64 from frame pixels to the template, by least median of squares.

    landmarks: (5, 2) x, y in frame pixels. size: side of the aligned face; the template is scaled
    to it. Raises FaceError if the landmarks have no extent or are not finite.
    """
    if landmarks.shape != (5, 2) or not np.isfinite(landmarks).all():
        raise FaceError(
            f"cannot align landmarks {landmarks.tolist()}; expected five finite x, y pairs"
        )
    affine, _ = cv2.estimateAffinePartial2D(landmarks, TEMPLATE, method=cv2.LMEDS)
    if affine is None or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:, :2])) < 1e-9:
        raise FaceError(f"cannot align landmarks {landmarks.tolist()}: they span no face")
    return cast(Affine, affine * (size / FACE_SIZE))


def crop_face(rgb: Rgb, affine: Affine, size: int = FACE_SIZE) -> Rgb:
    """The aligned face, uint8 (size, size, 3), linear; pixels outside the picture are BORDER_RGB.

    The authors' arithmetic up to a step of two frame pixels per crop pixel, where linear
    interpolation still reads every pixel; larger faces (4K close-ups) are smoothed first, or the
    crop would flicker.
    """
    if not np.isfinite(affine).all():
        raise FaceError("cannot crop a face with a transform that is not finite")
    to_frame = invert(affine)
    if footprint(to_frame[:, :2]).max() <= FREE_STEP:
        return warp(rgb, affine, (size, size), BORDER_RGB).astype(np.uint8, copy=False)
    top, left, part = _surroundings(rgb, to_frame, size)
    to_frame[:, 2] -= (left, top)
    crop = warp_smoothed(part, to_frame, (size, size), BORDER_RGB, FREE_STEP)
    return crop.astype(np.uint8, copy=False)


def _surroundings(rgb: Rgb, to_frame: Affine, size: int) -> tuple[int, int, Rgb]:
    corners = np.array([[0, 0], [0, size], [size, 0], [size, size]], np.float64)
    points = corners @ to_frame[:, :2].T + to_frame[:, 2]
    limit = np.array(rgb.shape[1::-1])
    margin = 8
    low = np.clip(np.floor(points.min(0)) - margin, 0, limit - 1).astype(int)
    high = np.clip(np.ceil(points.max(0)) + margin, low + 1, limit).astype(int)
    return int(low[1]), int(low[0]), rgb[low[1] : high[1], low[0] : high[0]]


def scale_transform(affine: Affine, factor: float) -> Affine:
    """The same alignment for a frame enlarged `factor` times, pixel centres at whole numbers."""
    linear = affine[:, :2] / factor
    centre = np.full(2, (factor - 1.0) / 2.0)
    return np.column_stack([linear, affine[:, 2] - linear @ centre])
