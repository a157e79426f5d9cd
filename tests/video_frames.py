"""Raw frames of a moving texture, and where the faces in them are said to be."""

from __future__ import annotations

from typing import Any

import numpy as np

from keeprt.engine.frame.video_list import frame_bytes, planes_in
from keeprt.kernels.frame import FrameFormat, components
from tests.networks import faces


def video(format: FrameFormat, count: int, seed: int = 0) -> list[Any]:
    """Frames, uint8 (bytes,), smooth in every component and moving by some pixels a frame."""
    side = max(format.width, format.height)
    bits, frames = format.layout.bits, []
    for picture in faces(count, size=side, seed=seed):
        packed = np.zeros(frame_bytes(format), np.uint8)
        for k, component in enumerate(components(planes_in(packed, format), format)):
            height, width = component.shape
            step_y, step_x = round(format.height / height), round(format.width / width)
            codes = picture[::step_y, ::step_x, k][:height, :width].astype(np.uint32)
            codes = (40 + codes * 170 // 255) << (bits - 8)
            component |= (codes << format.layout.shift[k]).astype(component.dtype)
        frames.append(packed)
    return frames


def moving_faces(restorer: Any, index: int) -> list[Any]:
    """Two maps from frame to crop pixels, overlapping a little, one of them turned."""
    size, maps = restorer.bundle.face_size, []
    for scale, degrees, x, y in ((1.3, 4, 60, 62), (1.1, -12, 126, 80)):
        angle = np.deg2rad(degrees + index)
        a, b = scale * np.cos(angle), scale * np.sin(angle)
        matrix = np.array([[a, -b, 0], [b, a, 0]])
        matrix[:, 2] = (size - 1) / 2 - matrix[:, :2] @ (x + 1.5 * index, y - index)
        maps.append(matrix)
    return maps
