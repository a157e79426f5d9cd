"""Between RGB pictures and the network's range: the meaning of the kernels of face_picture.cu.

The authors' arithmetic, in float32: (picture / 255 - 0.5) / 0.5 on the way in; on the way out
clamped to [-1, 1], (face + 1) * 0.5 * 255, rounded half to even. NaN becomes 0.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def face_from_picture(
    picture: NDArray[np.uint8], dtype: DTypeLike = np.float32
) -> NDArray[np.floating[Any]]:
    """RGB uint8 (S, S, 3) -> planar (3, S, S) in [-1, 1], of type float32 or float16."""
    value = picture.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    face: NDArray[np.floating[Any]] = ((value - np.float32(0.5)) / np.float32(0.5)).astype(dtype)
    return face


def face_to_picture(face: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Planar float32 (3, S, S) -> RGB uint8 (S, S, 3)."""
    value = np.clip(np.nan_to_num(face, nan=-1.0, posinf=1.0, neginf=-1.0), -1, 1)
    scaled = (value + np.float32(1)) * np.float32(0.5) * np.float32(255)
    return np.ascontiguousarray(np.rint(scaled).astype(np.uint8).transpose(1, 2, 0))
