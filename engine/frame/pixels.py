"""Between 8-bit pictures and the network's range, as in docs/model.md, section 15.1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.errors import UsageError

Picture = NDArray[np.uint8]


def normalise(picture: Picture, out: NDArray[np.float32]) -> None:
    """RGB uint8 (S, S, 3) -> planar float32 (3, S, S) in [-1, 1], written into `out`.

    The authors divide in double and then cast; for 8-bit values that is the same float32.
    """
    np.copyto(out, picture.transpose(2, 0, 1))
    out /= np.float32(255)
    out -= np.float32(0.5)
    out /= np.float32(0.5)


def quantise(face: NDArray[np.float32], scratch: NDArray[np.float32]) -> Picture:
    """Planar float32 (3, S, S) -> RGB uint8 (S, S, 3), clamped, rounded half to even."""
    np.clip(face, -1, 1, out=scratch)
    scratch += 1
    scratch *= np.float32(0.5)
    scratch *= 255
    np.rint(scratch, out=scratch)
    picture = np.empty((*face.shape[1:], face.shape[0]), np.uint8)
    np.copyto(picture, scratch.transpose(1, 2, 0), casting="unsafe")
    return picture


def check_face(face: Picture, size: int) -> None:
    """Raises UsageError unless `face` is an RGB picture of the network's size."""
    if not isinstance(face, np.ndarray) or face.dtype != np.uint8 or face.shape != (size, size, 3):
        found = (
            f"{face.dtype} {face.shape}" if isinstance(face, np.ndarray) else type(face).__name__
        )
        raise UsageError(
            f"a face must be RGB uint8 of shape ({size}, {size}, 3), this one is {found}"
        )
