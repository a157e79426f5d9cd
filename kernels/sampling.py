"""Float32 building blocks of the crop's and the paste's NumPy twins, as in frame.cuh."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keeprt.kernels.arrays import FloatArray


class Neighbours(NamedTuple):
    """Two neighbours on one axis and how far towards the second; edges repeat."""

    near: NDArray[np.intp]
    far: NDArray[np.intp]
    fraction: FloatArray


def clamp(values: FloatArray, low: float, high: float) -> FloatArray:
    """Like fminf(fmaxf(...)): NaN becomes `low`."""
    return np.fmin(np.fmax(values, np.float32(low)), np.float32(high))


def neighbours(coordinate: FloatArray, size: int) -> Neighbours:
    inside = clamp(coordinate, 0, size - 1)
    near = np.floor(inside).astype(np.intp)
    return Neighbours(near, np.minimum(near + 1, size - 1), inside - np.floor(inside))


def mix(start: Any, end: Any, fraction: Any) -> Any:
    return start + (end - start) * fraction


def bilinear(plane: FloatArray, x: Neighbours, y: Neighbours) -> FloatArray:
    top = mix(plane[y.near, x.near], plane[y.near, x.far], x.fraction)
    bottom = mix(plane[y.far, x.near], plane[y.far, x.far], x.fraction)
    result: FloatArray = mix(top, bottom, y.fraction)
    return result


def affine(row: FloatArray, *point: FloatArray) -> FloatArray:
    """row[0] * point[0] + row[1] * point[1] ... + row[-1], summed from the left."""
    total: FloatArray = row[0] * point[0]
    for factor, value in zip(row[1:-1], point[1:], strict=True):
        total = total + factor * value
    result: FloatArray = total + row[-1]
    return result
