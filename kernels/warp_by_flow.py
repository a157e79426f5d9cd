"""Backward warp of the previous face by GMFlow's low-resolution flow.

This is the meaning of `warp_by_flow.cu`, and what the CPU runtime calls. The work goes in strips of
rows that fit the cache, in scratch memory kept per thread, so that every frame costs the same and
nothing of the frame's size is allocated but the result.

Meaning (docs/model.md, sections 11 and 12.6):

* full-resolution flow at (8r + a, 8c + b) is the sum over n of
  softmax(mask)[n, a, b] * 8 * flow(neighbour n of (r, c)), the neighbours being the 3x3 cells in
  row-major order, zero outside the map;
* the picture is sampled bilinearly at (column + flow_x, row + flow_y), by way of the normalised
  coordinate in float32, as PyTorch's `grid_sample(padding_mode="zeros", align_corners=True)` does;
* a corner outside the picture counts as 0. So does a flow that is NaN or infinite: a damaged flow
  costs a mid-grey pixel and never enters the recurrent state.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from keeprt.kernels.arrays import FloatArray, damaged_values, expect, scratch
from keeprt.kernels.errors import UsageError

CELL = 8  # pixels per cell of the low-resolution flow, in each direction
NEIGHBOURS = 9
BORDER = 2  # zeros round the picture: one cell more than a corner can reach from the last pixel
STRIP_PIXELS = 32 * 1024  # scratch arrays of a strip stay in a 1 MB second-level cache


def warp_by_flow(
    previous: FloatArray, flow: FloatArray, mask: FloatArray, out: FloatArray | None = None
) -> FloatArray:
    """Warp the previous restored face onto the current one.

    previous: (B, 3, H, W) float32, RGB, nominally [-1, 1], not clamped.
    flow: (B, 2, H/8, W/8) float32, current to previous, x before y, in cells of that grid.
    mask: (B, 576, H/8, W/8) float32, viewed as (9, 8, 8), before the softmax.
    out: (B, 3, H, W) float32, C-contiguous, apart from `previous`; allocated when None.
    H and W are multiples of 8. Raises UsageError for other shapes, types or layouts.
    """
    _check_low_resolution(flow, mask)
    batch, _, rows, columns = flow.shape
    height, width = rows * CELL, columns * CELL
    expect("previous", previous, (batch, 3, height, width))
    result = _result(out, previous)
    for item in range(batch):
        image = _bordered(previous[item])
        cells = _padded_cells(flow[item])
        weights = mask[item].reshape(NEIGHBOURS, CELL, CELL, rows, columns)
        for first, last in _strips(rows, CELL * width):
            strip = slice(first * CELL, last * CELL)
            flow_rows = scratch("flow", (2, (last - first) * CELL, width))
            with damaged_values():
                _upsample_rows(cells, weights, first, last, flow_rows)
                _sample_rows(image, flow_rows, strip.start, result[item, :, strip])
    return result


def upsample_flow(flow: FloatArray, mask: FloatArray) -> FloatArray:
    """Convex upsampling of the flow to the full resolution.

    flow: (B, 2, H/8, W/8) float32 in cells. mask: (B, 576, H/8, W/8) float32 before the softmax.
    Returns (B, 2, H, W) float32 in pixels. Raises UsageError for other shapes or types.
    """
    _check_low_resolution(flow, mask)
    batch, _, rows, columns = flow.shape
    result = np.empty((batch, 2, rows * CELL, columns * CELL), np.float32)
    for item in range(batch):
        cells = _padded_cells(flow[item])
        weights = mask[item].reshape(NEIGHBOURS, CELL, CELL, rows, columns)
        for first, last in _strips(rows, CELL * CELL * columns):
            strip = slice(first * CELL, last * CELL)
            with damaged_values():
                _upsample_rows(cells, weights, first, last, result[item, :, strip])
    return result


def backward_warp(image: FloatArray, flow: FloatArray, out: FloatArray | None = None) -> FloatArray:
    """Sample `image` at (column + flow_x, row + flow_y), zeros outside.

    image, out: (B, C, H, W) float32, H and W at least 2. flow: (B, 2, H, W) float32 in pixels.
    Raises UsageError for other shapes, types or layouts.
    """
    if image.ndim != 4 or min(image.shape[2:]) < 2:
        raise UsageError(
            f"image has shape {image.shape}; give (B, C, H, W) with H and W at least 2"
        )
    batch, _, height, width = image.shape
    expect("image", image, image.shape)
    expect("flow", flow, (batch, 2, height, width))
    result = _result(out, image)
    for item in range(batch):
        bordered = _bordered(image[item])
        for first, last in _strips(height, width):
            rows = slice(first, last)
            with damaged_values():
                _sample_rows(bordered, flow[item, :, rows], first, result[item, :, rows])
    return result


def _upsample_rows(
    cells: FloatArray, mask: FloatArray, first: int, last: int, out: FloatArray
) -> None:
    """Full-resolution flow, (2, 8 * (last - first), W), of the low-resolution rows first..last."""
    columns = mask.shape[-1]
    shape = (CELL, CELL, last - first, columns)
    logits = mask[:, :, :, first:last]
    largest, weight, total, term = (
        scratch(n, shape) for n in ("largest", "weight", "total", "term")
    )
    sums = scratch("sums", (2, *shape))
    np.maximum.reduce(logits, axis=0, out=largest)
    total.fill(0)
    sums.fill(0)
    for n in range(NEIGHBOURS):
        np.subtract(logits[n], largest, out=weight)
        np.exp(weight, out=weight)
        total += weight
        row, column = first + n // 3, n % 3
        for axis in range(2):
            neighbour = cells[axis, row : row + last - first, column : column + columns]
            np.multiply(weight, neighbour, out=term)
            sums[axis] += term
    blocks = out.reshape(2, last - first, CELL, columns, CELL)
    for axis in range(2):
        np.divide(sums[axis], total, out=term)
        blocks[axis] = term.transpose(2, 0, 3, 1)


def _sample_rows(image: FloatArray, flow: FloatArray, first_row: int, out: FloatArray) -> None:
    """Samples for the rows from `first_row` on: `out` (C, rows, W) of `image` (C, H + 4, W + 4)."""
    channels, bordered_height, stride = image.shape
    height, width = bordered_height - 2 * BORDER, stride - 2 * BORDER
    shape = flow.shape[1:]
    columns = np.arange(width, dtype=np.float32)
    rows = np.arange(first_row, first_row + shape[0], dtype=np.float32)[:, None]
    x, y, left, top, east, south, weight, term = (
        scratch(n, shape)
        for n in ("x", "y", "left", "top", "east", "south", "weight", "term_of_sample")
    )
    _source_coordinate(flow[0], columns, width, x)
    _source_coordinate(flow[1], rows, height, y)
    np.floor(x, out=left)
    np.floor(y, out=top)
    np.subtract(x, left, out=east)
    np.subtract(y, top, out=south)
    index = _indices(left, top, stride)
    west = np.subtract(np.float32(1), east, out=x)
    north = np.subtract(np.float32(1), south, out=y)
    corners = ((0, north, west), (1, north, east), (stride, south, west), (stride + 1, south, east))
    for corner, (offset, vertical, horizontal) in enumerate(corners):
        np.multiply(vertical, horizontal, out=weight)
        for channel in range(channels):
            plane = image[channel].reshape(-1)[offset:]
            # No index is outside: "clip" only spares the second buffer that "raise" copies through.
            np.take(plane, index, out=term, mode="clip")
            if corner == 0:
                np.multiply(term, weight, out=out[channel])
            else:
                term *= weight
                out[channel] += term


def _source_coordinate(flow: FloatArray, position: FloatArray, size: int, out: FloatArray) -> None:
    """Coordinate by way of the normalised one, clamped to where no pixel contributes any more."""
    np.add(flow, position, out=out)
    out *= np.float32(2)
    out /= np.float32(size - 1)
    out -= np.float32(1)
    out += np.float32(1)
    out *= np.float32((size - 1) / 2)
    np.fmax(out, np.float32(-BORDER), out=out)  # picks the number when the other is NaN
    np.fmin(out, np.float32(size), out=out)


def _indices(left: FloatArray, top: FloatArray, stride: int) -> NDArray[np.intp]:
    """Flat index of each upper left corner in the bordered picture."""
    index = scratch("index", left.shape, np.intp)
    column = scratch("column", left.shape, np.intp)
    np.copyto(index, top, casting="unsafe")
    np.copyto(column, left, casting="unsafe")
    index *= stride
    index += column
    index += BORDER * stride + BORDER
    return index


def _bordered(image: FloatArray) -> FloatArray:
    """A copy of (C, H, W) within a border of zeros, in memory that the next call overwrites."""
    channels, height, width = image.shape
    canvas = scratch("canvas", (channels, height + 2 * BORDER, width + 2 * BORDER))
    canvas[:, :BORDER] = canvas[:, -BORDER:] = 0
    canvas[:, :, :BORDER] = canvas[:, :, -BORDER:] = 0
    canvas[:, BORDER:-BORDER, BORDER:-BORDER] = image
    return canvas


def _padded_cells(flow: FloatArray) -> FloatArray:
    """Flow in pixels, (2, H/8 + 2, W/8 + 2), with the zeros that lie outside the map."""
    cells = np.pad(flow, ((0, 0), (1, 1), (1, 1)))
    cells *= np.float32(CELL)
    return cells


def _strips(rows: int, pixels_per_row: int) -> Iterator[tuple[int, int]]:
    step = max(1, STRIP_PIXELS // pixels_per_row)
    for first in range(0, rows, step):
        yield first, min(first + step, rows)


def _check_low_resolution(flow: FloatArray, mask: FloatArray) -> None:
    if flow.ndim != 4:
        raise UsageError(f"flow has shape {flow.shape}; give (B, 2, H/8, W/8)")
    batch, _, rows, columns = flow.shape
    expect("flow", flow, (batch, 2, rows, columns))
    expect("mask", mask, (batch, NEIGHBOURS * CELL * CELL, rows, columns))


def _result(out: FloatArray | None, like: FloatArray) -> FloatArray:
    if out is None:
        return np.empty(like.shape, np.float32)
    expect("out", out, like.shape)
    if not out.flags.c_contiguous or np.may_share_memory(out, like):
        raise UsageError("out must be C-contiguous and must not overlap the picture that is warped")
    return out
