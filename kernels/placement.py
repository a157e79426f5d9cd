"""Where a face lies in the frame: the affine maps, how far it is smoothed, and its region."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.kernels.errors import FaceError

FACE_SIZE = 512
FREE_STEP = 2.0  # pixels of the frame per pixel of the crop, up to which nothing is smoothed
LEAST_SIGMA = 0.25  # a narrower smoothing changes nothing that can be seen
MARGIN = 2  # pixels round the region, so that a chroma sample half-way outside is seen too

# In the order of FacePlacement in frame.cuh; every member has four bytes.
PLACEMENT_DTYPE = np.dtype(
    [
        ("to_frame", "f4", (2, 3)),
        ("to_crop", "f4", (2, 3)),
        ("crop_width", "f4", (2, 2)),
        ("paste_width", "f4", (2, 2)),
        ("strength", "f4", 2),
        ("left", "i4"),
        ("top", "i4"),
        ("right", "i4"),
        ("bottom", "i4"),
    ]
)


def place_face(
    to_crop: NDArray[np.floating[Any]],
    width: int,
    height: int,
    size: int = FACE_SIZE,
    *,
    halved: tuple[int, int] = (0, 0),
    strength: float = 1.0,
    grey: bool = False,
) -> NDArray[Any]:
    """The PLACEMENT_DTYPE scalar array of one face.

    to_crop: (2, 3) affine map from pixel centres of the frame to those of the crop, as
    `estimateAffinePartial2D` gives it. width, height: the frame. halved: 1 where chroma has half
    the columns, half the rows. strength: share of the change that is added; `grey`: to the first
    component alone. Raises FaceError when the map has no inverse.
    """
    forward = np.vstack([np.asarray(to_crop, np.float64), [0, 0, 1]])
    determinant = abs(forward[0, 0] * forward[1, 1] - forward[0, 1] * forward[1, 0])
    if not np.isfinite(forward).all() or not determinant > 1e-12:
        raise FaceError(f"the face's transform {to_crop.tolist()} has no inverse: drop this face")
    back = np.linalg.inv(forward)
    record = np.zeros((), PLACEMENT_DTYPE)
    record["to_crop"], record["to_frame"] = forward[:2], back[:2]
    steps = np.array([[1, 1], [1 << halved[0], 1 << halved[1]]])  # pixels per sample
    covered = np.hypot(back[:2, 0], back[:2, 1])  # frame pixels per crop pixel, along x and y
    record["crop_width"] = spline_width((covered - FREE_STEP) / 2 / steps)
    stepped = np.hypot(forward[:2, 0] * steps[:, :1], forward[:2, 1] * steps[:, 1:])
    record["paste_width"] = spline_width((stepped - 1) / 2)
    record["strength"] = strength, 0 if grey else strength
    last = size - 1
    corners = back[:2] @ np.array([[0, last, 0, last], [0, 0, last, last], [1, 1, 1, 1]])
    limits = np.array([[width], [height]])
    low = np.clip(np.floor(corners.min(axis=1, keepdims=True)) - MARGIN, 0, limits)
    high = np.clip(np.ceil(corners.max(axis=1, keepdims=True)) + 1 + MARGIN, low, limits)
    (record["left"],), (record["top"],) = low.astype(int)
    (record["right"],), (record["bottom"],) = high.astype(int)
    return record


def no_face() -> NDArray[Any]:
    """The placement of an empty slot: a crop of border colour, nothing pasted."""
    record = np.zeros((), PLACEMENT_DTYPE)
    record["to_frame"][:, 2] = record["to_crop"][:, 2] = -2
    return record


def spline_width(sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """Width of the cubic B-spline, in samples, that spreads as linear interpolation after a
    smoothing by `sigma`; 0 for linear interpolation alone."""
    return np.where(sigma < LEAST_SIGMA, 0.0, np.sqrt(3 * (np.maximum(sigma, 0) ** 2 + 1 / 6)))
