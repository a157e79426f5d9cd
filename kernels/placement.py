"""Where a face lies in the frame: the affine maps, the soft edge and the region of one face."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.errors import FaceError

FACE_SIZE = 512
MARGIN = 2  # pixels round the region, so that a chroma sample half-way outside is seen too

# In the order of FacePlacement in frame.cuh; every member has four bytes.
PLACEMENT_DTYPE = np.dtype(
    [
        ("to_frame", "f4", (2, 3)),
        ("to_crop", "f4", (2, 3)),
        ("slope_u", "f4"),
        ("slope_v", "f4"),
        ("left", "i4"),
        ("top", "i4"),
        ("right", "i4"),
        ("bottom", "i4"),
    ]
)


def place_face(
    to_crop: NDArray[np.floating[Any]], width: int, height: int, size: int = FACE_SIZE
) -> NDArray[Any]:
    """The PLACEMENT_DTYPE scalar array of one face.

    to_crop: (2, 3) affine map from pixel centres of the frame to those of the crop, as
    `estimateAffinePartial2D` gives it. width, height: the frame. Raises FaceError when the map
    has no inverse.
    """
    forward = np.vstack([np.asarray(to_crop, np.float64), [0, 0, 1]])
    determinant = abs(forward[0, 0] * forward[1, 1] - forward[0, 1] * forward[1, 0])
    if not np.isfinite(forward).all() or not determinant > 1e-12:
        raise FaceError(f"the face's transform {to_crop.tolist()} has no inverse: drop this face")
    back = np.linalg.inv(forward)
    record = np.zeros((), PLACEMENT_DTYPE)
    record["to_crop"], record["to_frame"] = forward[:2], back[:2]
    edge = feather_px(determinant, size)
    steepness = np.hypot(forward[:2, 0], forward[:2, 1])  # crop pixels per frame pixel
    record["slope_u"], record["slope_v"] = 1 / (2 * edge * steepness)
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


def feather_px(determinant: float, size: int) -> float:
    """Half the soft edge in frame pixels, by section 15.5, step 5; at least half a pixel."""
    side = size / np.sqrt(determinant)
    return float(max(np.floor(np.floor(side) / 20), 0.5))
