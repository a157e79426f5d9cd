"""YCbCr and RGB beyond 8 bits, exactly: swscale takes 65280 for the white of 16-bit RGB.

swscale only changes the chroma's resolution here; the matrix is applied in float32.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from keeprt.engine.media.info import FULL_RANGE, ColourTags, RgbImage

WHITE = 65535

# Kr and Kb by AVColorSpace, of ITU-T H.273 table 4: BT.709, FCC, BT.601 twice, SMPTE 240M, BT.2020.
_LUMA = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}


def yuv_to_rgb(planes: list[RgbImage], bits: int, colour: ColourTags) -> NDArray[np.uint16]:
    """Three planes (H, W) of `bits` bits as full-range uint16 RGB (H, W, 3)."""
    yuv = cv2.merge([plane.astype(np.float32) for plane in planes])
    to_yuv = _rgb_to_yuv(bits, colour, planes[0].shape[0])
    inverse = np.linalg.inv(to_yuv[:, :3])
    affine = np.column_stack([inverse, -inverse @ to_yuv[:, 3]])
    rgb = np.rint(cv2.transform(yuv, affine))
    return cast(NDArray[np.uint16], np.clip(rgb, 0, WHITE).astype(np.uint16))


def rgb_to_yuv(rgb: RgbImage, bits: int, colour: ColourTags) -> list[RgbImage]:
    """Full-range RGB (H, W, 3), uint8 or uint16, as three planes (H, W) of `bits` bits."""
    affine = _rgb_to_yuv(bits, colour, rgb.shape[0])
    if rgb.itemsize == 1:
        affine[:, :3] *= WHITE / 255
    yuv = np.rint(cv2.transform(rgb.astype(np.float32), affine))
    dtype = np.uint8 if bits == 8 else np.uint16
    whole = cast(RgbImage, np.clip(yuv, 0, (1 << bits) - 1).astype(dtype))
    return [whole[..., index] for index in range(3)]


def _rgb_to_yuv(bits: int, colour: ColourTags, height: int) -> NDArray[np.float64]:
    """The 3x4 matrix from RGB in 0..65535 to code values, ITU-T H.273 8.3."""
    kr, kb = _LUMA[colour.matrix_for(height)]
    kg = 1 - kr - kb
    analogue = np.array(
        [
            [kr, kg, kb],
            [-kr / (2 - 2 * kb), -kg / (2 - 2 * kb), 0.5],
            [0.5, -kg / (2 - 2 * kr), -kb / (2 - 2 * kr)],
        ]
    )
    scale = 1 << (bits - 8)
    top = (1 << bits) - 1
    spans, black = ((top, top, top), 0) if colour.range == FULL_RANGE else ((219, 224, 224), 16)
    gains = np.array(spans) * (1 if colour.range == FULL_RANGE else scale) / WHITE
    offsets = np.array([black, 128, 128]) * scale
    return np.column_stack([analogue * gains[:, None], offsets])
