"""Launches of the kernels as plain values: pure functions of sizes and addresses.

The same value is submitted to a CUDA stream by `keeprt.kernels.loader.submit` and run block by
block on the host by the tests. Addresses are device addresses there and host addresses here.
"""

from dataclasses import dataclass

import numpy as np

from keeprt.kernels.errors import UsageError
from keeprt.kernels.frame import FrameFormat
from keeprt.kernels.placement import FACE_SIZE
from keeprt.kernels.shrink import check_smaller
from keeprt.kernels.warp_by_flow import CELL

BLOCK = 256  # threads of every block, as in portable.cuh
PASTE_BLOCKS = 512  # each thread walks sites, so a captured graph holds for any region

Argument = int | np.int32 | bytes


@dataclass(frozen=True)
class Launch:
    """One kernel launch.

    Addresses are Python ints, 32-bit arguments np.int32, structures passed by value their bytes.
    """

    kernel: str
    grid: tuple[int, int, int]
    arguments: tuple[Argument, ...]


def warp_by_flow(
    previous: int, flow: int, mask: int, out: int, batch: int, height: int, width: int
) -> Launch:
    """Addresses of float32 arrays as `keeprt.kernels.warp_by_flow` has them."""
    if height % CELL or width % CELL or min(batch, height, width) < 1:
        raise UsageError(f"a warp of {width}x{height} is not a multiple of {CELL}")
    if out == previous:
        raise UsageError("the warp cannot write over the picture that it samples")
    rows, columns = height // CELL, width // CELL
    grid = (-(-width // BLOCK), height, batch)
    return Launch(
        "warp_by_flow", grid, (previous, flow, mask, out, np.int32(rows), np.int32(columns))
    )


def crop_align(
    planes: tuple[int, ...],
    format: FrameFormat,
    placements: int,
    out: int,
    faces: int,
    size: int = FACE_SIZE,
    half: bool = False,
) -> Launch:
    """Addresses of the planes, the placements and the crops (faces, 3, size, size)."""
    name = f"crop_align_{_word(format)}_{_value(half)}"
    grid = (-(-size * size // BLOCK), 1, faces)
    arguments = (*_frame(planes, format), placements, out, np.int32(size))
    return Launch(name, grid, arguments)


def paste_back(
    planes: tuple[int, ...],
    format: FrameFormat,
    placement: int,
    restored: int,
    crop: int,
    size: int = FACE_SIZE,
    half: bool = False,
    dither: bool = False,
) -> Launch:
    """Addresses of the planes, one placement, one face float32 (3, size, size) and its crop."""
    layout = format.layout
    subsampling = {(0, 0): "444", (1, 0): "422", (1, 1): "420"}[layout.halved_x, layout.halved_y]
    name = f"paste_back_{subsampling}_{_word(format)}_{_value(half)}"
    given = (placement, restored, crop, np.int32(size), np.int32(dither))
    return Launch(name, (PASTE_BLOCKS, 1, 1), (*_frame(planes, format), *given))


def shrink(
    planes: tuple[int, ...], format: FrameFormat, picture: int, width: int, height: int
) -> Launch:
    """Addresses of the planes and of a picture, uint8 (height, width, 3), no larger than they."""
    check_smaller(format, width, height)
    arguments = (*_frame(planes, format), picture, np.int32(width), np.int32(height))
    return Launch(f"shrink_{_word(format)}", (-(-width * height // BLOCK), 1, 1), arguments)


def _frame(planes: tuple[int, ...], format: FrameFormat) -> tuple[int, int, int, bytes]:
    """Addresses of the three components, and the format."""
    layout, expected = format.layout, len(format.plane_shapes())
    if len(planes) != expected:
        raise UsageError(f"{format.pixel_format} has {expected} planes, not {len(planes)}")
    bytes_per_word = np.dtype(layout.dtype).itemsize
    a, b, c = (planes[layout.plane[k]] + layout.offset[k] * bytes_per_word for k in range(3))
    return a, b, c, format.record().tobytes()


def _word(format: FrameFormat) -> str:
    return f"u{8 * np.dtype(format.layout.dtype).itemsize}"


def _value(half: bool) -> str:
    return "f16" if half else "f32"


def face_from_picture(picture: int, face: int, size: int = FACE_SIZE, half: bool = False) -> Launch:
    """Addresses of one picture, uint8 (size, size, 3), and of one face, (3, size, size)."""
    grid = (-(-size * size // BLOCK), 1, 1)
    return Launch(f"face_from_picture_{_value(half)}", grid, (picture, face, np.int32(size)))


def face_to_picture(face: int, picture: int, size: int = FACE_SIZE) -> Launch:
    """Addresses of one face, float32 (3, size, size), and of one picture, uint8 (size, size, 3)."""
    grid = (-(-size * size // BLOCK), 1, 1)
    return Launch("face_to_picture", grid, (face, picture, np.int32(size)))
