"""The restored face into the frame, in the frame's own format: the meaning of `paste_back.cu`.

At every pixel of the face's region: mask times the face's code plus the rest of the old code,
rounded. A pixel whose mask is 0 keeps its word bit for bit. The face is sampled bilinearly; a
chroma sample is the average over the pixels that its siting spans (1/4, 1/2, 1/4 where it lies on
a pixel, 1/2, 1/2 where it lies between two), each weighted by its own mask.

The soft mask stands for section 15.5, steps 3 to 6: an erosion and a Gaussian over the warped
square. Here it is computed
in place: the product of four steps over the distances to the edges of the face, each from 0 at
the edge to 1 at 2e inside, e as in step 5. The step's slope is the Beta(4, 4) density: its
spread, e / 3, is that of the reference's Gaussian (0.3 (e - 1) + 0.8), and it is exactly 0 and 1
outside.

Step 7 cuts to 8 bits; here codes round to nearest, or are dithered with an 8x8 Bayer matrix.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.errors import UsageError
from keeprt.kernels.arrays import FloatArray, damaged_values
from keeprt.kernels.frame import FrameFormat, Planes, codes_of, components
from keeprt.kernels.sampling import affine, bilinear, clamp, neighbours


class Patch(NamedTuple):
    """The restored face on a grid of frame pixels: codes (3, rows, columns) and mask."""

    codes: FloatArray
    mask: FloatArray


def paste_back(
    planes: Planes,
    format: FrameFormat,
    placement: NDArray[Any],
    face: NDArray[Any],
    dither: bool = False,
) -> None:
    """Paste one face into the frame, in place.

    placement: scalar PLACEMENT_DTYPE. face: (3, size, size) float32 or float16, RGB, clamped to
    [-1, 1] here. Raises UsageError for other shapes. Faces that overlap are pasted in the order
    of the calls.
    """
    words = components(planes, format)
    if face.ndim != 3 or face.shape[0] != 3 or face.shape[1] != face.shape[2]:
        raise UsageError(f"face has shape {face.shape}; give (3, size, size)")
    sx, sy = format.layout.halved_x, format.layout.halved_y
    sites = _sites(placement, format)
    if any(axis.start >= axis.stop for axis in sites):
        return
    columns = np.arange((sites[1].start << sx) - sx, sites[1].stop << sx, dtype=np.float32)
    rows = np.arange((sites[0].start << sy) - sy, sites[0].stop << sy, dtype=np.float32)
    with damaged_values():
        patch = _patch(face.astype(np.float32), format, placement, columns, rows[:, None])
    pixels = (
        slice(sites[0].start << sy, min(sites[0].stop << sy, format.height)),
        slice(sites[1].start << sx, min(sites[1].stop << sx, format.width)),
    )
    whole = np.s_[
        sy : sy + pixels[0].stop - pixels[0].start, sx : sx + pixels[1].stop - pixels[1].start
    ]
    mask = patch.mask[whole]
    _blend(words, format, 0, pixels, mask * patch.codes[0][whole], mask, dither)
    cover, second, third = _chroma(patch, format)
    _blend(words, format, 1, sites, second, cover, dither)
    _blend(words, format, 2, sites, third, cover, dither)


def soft_mask(placement: NDArray[Any], u: FloatArray, v: FloatArray, size: int) -> FloatArray:
    """The mask at crop coordinates u, v, in [0, 1]; 0 on the edges of the crop and outside."""
    last = np.float32(size - 1)
    slope_u, slope_v = placement["slope_u"], placement["slope_v"]
    across = soft_step(u * slope_u) * soft_step((last - u) * slope_u)
    down = soft_step(v * slope_v) * soft_step((last - v) * slope_v)
    return across * down


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


def _sites(placement: NDArray[Any], format: FrameFormat) -> tuple[slice, slice]:
    """The rows and columns of chroma samples that the region touches."""
    sx, sy = format.layout.halved_x, format.layout.halved_y
    left, right = (int(np.clip(placement[side], 0, format.width)) for side in ("left", "right"))
    top, bottom = (int(np.clip(placement[side], 0, format.height)) for side in ("top", "bottom"))
    return slice(top >> sy, (bottom + sy) >> sy), slice(left >> sx, (right + sx) >> sx)


def _patch(face: Any, format: FrameFormat, placement: NDArray[Any], x: Any, y: Any) -> Patch:
    size = face.shape[-1]
    u, v = affine(placement["to_crop"][0], x, y), affine(placement["to_crop"][1], x, y)
    along, down = neighbours(u, size), neighbours(v, size)
    rgb = [clamp(bilinear(channel, along, down), -1, 1) for channel in face]
    codes = np.stack([affine(row, *rgb) for row in format.record()["from_rgb"]])
    return Patch(codes, soft_mask(placement, u, v, size))


def _chroma(patch: Patch, format: FrameFormat) -> tuple[Any, Any, Any]:
    """Mask, mask times second and mask times third code, averaged over each sample's span."""
    record, sx, sy = format.record(), format.layout.halved_x, format.layout.halved_y
    height, width = ((n - s) >> s for n, s in zip(patch.mask.shape, (sy, sx), strict=True))
    totals = [np.zeros((height, width), np.float32) for _ in range(3)]
    for dy in range(-sy, sy + 1):
        for dx in range(-sx, sx + 1):
            at = np.s_[dy + sy :: 1 << sy, dx + sx :: 1 << sx]
            taps = record["chroma_taps_x"][dx + 1] * record["chroma_taps_y"][dy + 1]
            weight = taps * patch.mask[at][:height, :width]
            totals[0] += weight
            totals[1] += weight * patch.codes[1][at][:height, :width]
            totals[2] += weight * patch.codes[2][at][:height, :width]
    return totals[0], totals[1], totals[2]


def _blend(
    words: list[Any],
    format: FrameFormat,
    k: int,
    where: Any,
    weighted: Any,
    mask: Any,
    dither: bool,
) -> None:
    target, largest, shift = words[k][where], (1 << format.layout.bits) - 1, format.layout.shift[k]
    old = codes_of(target, format, k)
    code = clamp(old + (weighted - mask * old), 0, largest)
    y, x = np.mgrid[where]
    rounded = np.floor(code + rounding_offset(x, y, dither)).astype(np.int64)
    pasted = (target.astype(np.int64) & ~(largest << shift)) | rounded << shift
    words[k][where] = np.where(mask > 0, pasted, target).astype(target.dtype)
