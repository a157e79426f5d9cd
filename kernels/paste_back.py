"""What the network changed, added to the frame in its own format: the meaning of `paste_back.cu`.

    frame + strength * sampled(mask * (restored - crop))

The change is pasted, not the face: a face that the network left alone is left alone exactly, and
detail beyond the crop's pixels stays. `keeprt.engine.faces.painting` does the same by OpenCV, from
8-bit pictures; the two agree to a code or so (`tests/engine/test_video_restorer.py`).

Every sample of a component is seen where it lies in the crop, chroma by its siting: there the
change is interpolated linearly, or, where a sample covers more than a pixel of the crop, under a
cubic B-spline as wide as it must be for fine detail of a moving face not to flicker. Only the
linear part of the matrix applies, as it is a difference. Outside the crop nothing is changed.

The mask lies in the crop, docs/model.md, section 15.5, steps 3 to 6 for e = 25 of 512 pixels:
there an erosion and a Gaussian, here the product of four steps over the distances to the edges,
each from 0 at the edge to 1 at 2e inside. A step's slope is the Beta(4, 4) density: its spread,
e / 3, is that of the Gaussian (0.3 (e - 1) + 0.8), and it is exactly 0 and 1 outside.

Codes round to nearest, or are dithered with an 8x8 Bayer matrix. Where nothing is changed a word
stays bit for bit, and so it does where the face is not finite.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.kernels.arrays import FloatArray, damaged_values
from keeprt.kernels.errors import UsageError
from keeprt.kernels.frame import FrameFormat, Planes, codes_of, components
from keeprt.kernels.placement import FACE_SIZE
from keeprt.kernels.sampling import Filter, affine, clamp, filter_at


def paste_back(
    planes: Planes,
    format: FrameFormat,
    placement: NDArray[Any],
    restored: NDArray[Any],
    crop: NDArray[Any],
    dither: bool = False,
) -> None:
    """Add the change of one face to the frame, in place.

    placement: scalar PLACEMENT_DTYPE. restored: (3, size, size) float32, RGB, clamped to [-1, 1]
    here; crop: what the network was given, the same in float32 or float16. Raises UsageError for
    other shapes. Faces that overlap are pasted in the order of the calls.
    """
    words, shape = components(planes, format), restored.shape
    if restored.ndim != 3 or shape[0] != 3 or shape[1] != shape[2] or crop.shape != shape:
        raise UsageError(
            f"face and crop have shapes {shape} and {crop.shape}; give (3, size, size)"
        )
    with damaged_values():
        change = _masked(restored, crop)
        fine = format.layout.halved_x == format.layout.halved_y == 0
        for parts in ((0, 1, 2),) if fine else ((0,), (1, 2)):
            _paste_components(words, format, placement, change, parts, dither)


@lru_cache(maxsize=4)
def soft_mask(size: int = FACE_SIZE) -> NDArray[np.float32]:
    """(size, size) float32: 1 from a tenth of the side inside the edge, 0 on it. Read-only."""
    mask = np.outer(mask_profile(size), mask_profile(size))
    mask.setflags(write=False)
    return mask


def mask_profile(size: int) -> FloatArray:
    """The mask along one axis of the crop, (size,)."""
    at, slope = np.arange(size, dtype=np.float32), np.float32(10.24) / np.float32(size)
    return soft_step(at * slope) * soft_step(at[::-1] * slope)


def soft_step(t: FloatArray) -> FloatArray:
    """0 below 0, 1 above 1, and between them the integral of the Beta(4, 4) density."""
    s = clamp(t, 0, 1)
    square = s * s
    c35, c84, c70, c20 = (np.float32(c) for c in (35, 84, 70, 20))
    value: FloatArray = np.asarray(square * square * (c35 - s * (c84 - s * (c70 - c20 * s))), "f4")
    return clamp(value, 0, 1)


def rounding_offset(x: NDArray[np.int64], y: NDArray[np.int64], dither: bool) -> Any:
    """What is added before rounding down: a half, or the threshold of an 8x8 Bayer matrix."""
    if not dither:
        return np.float32(0.5)
    odd = x ^ y
    high = (odd & 1) << 5 | (y & 1) << 4 | (odd & 2) << 2
    rank = high | (y & 2) << 1 | (odd & 4) >> 1 | (y & 4) >> 2
    return (rank.astype(np.float32) + np.float32(0.5)) / np.float32(64)


def _masked(restored: Any, crop: Any) -> FloatArray:
    """What the network changed, (3, size, size); nothing where its face is not finite."""
    change: FloatArray = clamp(restored, -1, 1) - crop.astype(np.float32)
    return np.where(np.isfinite(restored).all(axis=0), change, np.float32(0))


def _paste_components(
    words: list[Any],
    format: FrameFormat,
    placement: NDArray[Any],
    change: FloatArray,
    parts: tuple[int, ...],
    dither: bool,
) -> None:
    """The components of `parts`, which are equally fine, over the face's region."""
    record, chroma = format.record(), bool(parts[0])
    where = _region(placement, format, chroma)
    y, x = np.mgrid[where].astype(np.float32)
    if chroma:
        x = (x - record["chroma_x"][1]) / record["chroma_x"][0]
        y = (y - record["chroma_y"][1]) / record["chroma_y"][0]
    widths = placement["paste_width"][int(chroma)]
    along, down = (
        filter_at(affine(row, x, y), width)
        for row, width in zip(placement["to_crop"], widths, strict=True)
    )
    rgb = _sampled(change, along, down)
    for k in parts:
        row = record["from_rgb"][k]
        codes = row[0] * rgb[0] + row[1] * rgb[1] + row[2] * rgb[2]
        _add(words, format, k, where, placement["strength"][min(k, 1)] * codes, dither)


def _region(placement: NDArray[Any], format: FrameFormat, chroma: bool) -> tuple[slice, slice]:
    """The rows and columns of samples that the region touches."""
    layout = format.layout
    sx, sy = (layout.halved_x, layout.halved_y) if chroma else (0, 0)
    left, right = (int(np.clip(placement[side], 0, format.width)) for side in ("left", "right"))
    top, bottom = (int(np.clip(placement[side], 0, format.height)) for side in ("top", "bottom"))
    return (
        slice(top >> sy, max(top >> sy, (bottom + sy) >> sy)),
        slice(left >> sx, max(left >> sx, (right + sx) >> sx)),
    )


def _sampled(change: FloatArray, along: Filter, down: Filter) -> FloatArray:
    """The change under the mask at coordinates of the crop, (3, rows, columns)."""
    size, profile = change.shape[-1], mask_profile(change.shape[-1])
    total = np.zeros((3, *along.at.shape), np.float32)
    starts = [np.clip(axis.first, 0, size) for axis in (along, down)]
    counts = [
        int((np.clip(axis.last, -1, size - 1) - start).max(initial=-1)) + 1
        for axis, start in zip((along, down), starts, strict=True)
    ]
    for step_y in range(counts[1]):
        row, part = starts[1] + step_y, np.zeros_like(total)
        for step_x in range(counts[0]):
            column = starts[0] + step_x
            weight = _weight(along, column, profile)
            part += weight * change[:, np.minimum(row, size - 1), np.minimum(column, size - 1)]
        total += _weight(down, row, profile) * part
    return total


def _weight(axis: Filter, sample: Any, profile: FloatArray) -> Any:
    """A pixel's weight, mask and all; 0 for what is no pixel of the crop."""
    size = len(profile)
    weight = axis.weight(sample) * profile[np.minimum(sample, size - 1)]
    return np.where(sample < size, weight, np.float32(0))


def _add(
    words: list[Any], format: FrameFormat, k: int, where: Any, codes: FloatArray, dither: bool
) -> None:
    target, largest, shift = words[k][where], (1 << format.layout.bits) - 1, format.layout.shift[k]
    changed = np.isfinite(codes) & (codes != 0)
    code = clamp(codes_of(target, format, k) + np.where(changed, codes, np.float32(0)), 0, largest)
    y, x = np.mgrid[where]
    rounded = np.floor(code + rounding_offset(x, y, dither)).astype(np.int64)
    pasted = (target.astype(np.int64) & ~(largest << shift)) | rounded << shift
    words[k][where] = np.where(changed, pasted, target).astype(target.dtype)
