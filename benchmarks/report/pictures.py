"""Pictures as data within the page."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from keeprt.engine.errors import UsageError
from keeprt.engine.frame.pixels import Picture

QUALITY = 88
_LOSSLESS = 101  # any quality above 100 asks OpenCV's WebP writer to keep every pixel
_LARGEST = 16383


def data_uri(picture: Picture, exact: bool = False) -> str:
    """WebP, without loss if `exact`. Raises UsageError for what is no picture or too large."""
    shape = np.shape(picture)
    if picture.dtype != np.uint8 or not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)):
        raise UsageError(f"a report shows uint8 RGB or grey pictures, not {picture.dtype} {shape}")
    if not 0 < max(shape[:2]) <= _LARGEST or not min(shape[:2]):
        raise UsageError(f"a picture of a report has 1 to {_LARGEST} pixels a side, not {shape}")
    coded = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR if len(shape) == 3 else cv2.COLOR_GRAY2BGR)
    quality = [cv2.IMWRITE_WEBP_QUALITY, _LOSSLESS if exact else QUALITY]
    written, data = cv2.imencode(".webp", coded, quality)
    if not written:
        raise UsageError(f"OpenCV could not encode a picture of shape {shape}")
    return f"data:image/webp;base64,{base64.b64encode(data.tobytes()).decode()}"
