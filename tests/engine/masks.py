"""Where in a frame the mask of a face lies, by the pieces that compositing is made of."""

from __future__ import annotations

import numpy as np

from keeprt.engine.faces.alignment import FACE_SIZE, Affine
from keeprt.engine.faces.painting.compositing import Float32, touched, warp_change
from keeprt.kernels.paste_back import soft_mask


def frame_mask(affine: Affine, size: tuple[int, int], face_size: int = FACE_SIZE) -> Float32:
    """The mask as it lies in a frame of `size` = (height, width), float32 0..1."""
    mask = np.zeros(size, np.float32)
    region = touched(affine, size, face_size)
    if not region.empty:
        mask[region.slices] = warp_change(soft_mask(face_size), affine, region)
    return mask
