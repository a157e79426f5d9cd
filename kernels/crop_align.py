"""The aligned face out of the video frame: the meaning of `crop_align.cu`.

Every component is sampled at its own place (chroma by its siting, edges repeated): bilinearly, or,
where a pixel of the crop covers more than two of the frame, under a cubic B-spline as wide as it
must be for the crop of a moving face not to flicker. Then the codes become RGB, are clamped to
[-1, 1], and blend with the border colour by the share of the bilinear weight that lies outside the
frame. For RGB and linear this is OpenCV's `warpAffine` with a constant border (docs/model.md,
section 15.4), with two differences on purpose: coordinates are not rounded to 1/32 pixel, and the
crop is not rounded to 8 bits. A transform that is NaN or leads far away gives the border colour.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from keeprt.kernels.arrays import damaged_values
from keeprt.kernels.frame import FrameFormat, Planes, codes_of, components
from keeprt.kernels.placement import FACE_SIZE
from keeprt.kernels.sampling import affine, bilinear, clamp, filter_at, mix, neighbours, weighted


def crop_align(
    planes: Planes,
    format: FrameFormat,
    placements: NDArray[Any],
    size: int = FACE_SIZE,
    dtype: DTypeLike = np.float32,
) -> NDArray[Any]:
    """Crop the faces at `placements`, (F,) PLACEMENT_DTYPE, out of one frame.

    Returns (F, 3, size, size) float32 or float16, RGB in [-1, 1]. Raises UsageError for planes of
    other shapes.
    """
    words = components(planes, format)
    codes = [codes_of(component, format, k) for k, component in enumerate(words)]
    crops = np.empty((len(placements), 3, size, size), dtype)
    row, column = np.indices((size, size)).astype(np.float32)
    with damaged_values():
        for face, placement in enumerate(placements):
            x = affine(placement["to_frame"][0], column, row)
            y = affine(placement["to_frame"][1], column, row)
            crops[face] = _sample(codes, format, x, y, placement["crop_width"])
    return crops


def _sample(
    codes: list[Any], format: FrameFormat, x: Any, y: Any, widths: Any
) -> NDArray[np.float32]:
    record = format.record()
    x, y = clamp(x, -2, format.width + 1), clamp(y, -2, format.height + 1)
    cover = _coverage(x, format.width) * _coverage(y, format.height)
    chroma_x = x * record["chroma_x"][0] + record["chroma_x"][1]
    chroma_y = y * record["chroma_y"][0] + record["chroma_y"][1]
    a = _component(codes[0], x, y, widths[0])
    b, c = (_component(component, chroma_x, chroma_y, widths[1]) for component in codes[1:])
    rgb = [clamp(affine(row, a, b, c), -1, 1) for row in record["to_rgb"]]
    return np.stack([mix(record["border"][k], rgb[k], cover) for k in range(3)])


def _component(codes: Any, x: Any, y: Any, widths: Any) -> Any:
    """A component's codes at coordinates in its samples."""
    height, width = codes.shape
    if widths[0] > 0 or widths[1] > 0:
        return weighted(codes, filter_at(x, widths[0]), filter_at(y, widths[1]))
    return bilinear(codes, neighbours(x, width), neighbours(y, height))


def _coverage(coordinate: Any, size: int) -> Any:
    """How much of the bilinear weight along one axis lies on pixels of the frame."""
    return clamp(coordinate + np.float32(1), 0, 1) * clamp(np.float32(size) - coordinate, 0, 1)
