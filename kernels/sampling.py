"""Float32 building blocks of the crop's and the paste's NumPy twins, as in frame.cuh."""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from keeprt.kernels.arrays import FloatArray

WIDEST = 32.0  # a wider spline is cut to this: a bound on the work of a sample
FARTHEST = 1e6


class Neighbours(NamedTuple):
    """Two neighbours on one axis and how far towards the second; edges repeat."""

    near: NDArray[np.intp]
    far: NDArray[np.intp]
    fraction: FloatArray


def clamp(values: FloatArray, low: float, high: float) -> FloatArray:
    """Like fminf(fmaxf(...)): NaN becomes `low`."""
    return np.fmin(np.fmax(values, np.float32(low)), np.float32(high))


def neighbours(coordinate: FloatArray, size: int) -> Neighbours:
    """Of float32 coordinates in pixels, on an axis of `size` samples; NaN becomes 0."""
    inside = clamp(coordinate, 0, size - 1)
    near = np.floor(inside).astype(np.intp)
    return Neighbours(near, np.minimum(near + 1, size - 1), inside - np.floor(inside))


def mix(start: Any, end: Any, fraction: Any) -> Any:
    """start + (end - start) * fraction, rounded after each step."""
    return start + (end - start) * fraction


def bilinear(plane: FloatArray, x: Neighbours, y: Neighbours) -> FloatArray:
    """A plane (h, w) sampled at neighbours that broadcast together: along x first, then y."""
    top = mix(plane[y.near, x.near], plane[y.near, x.far], x.fraction)
    bottom = mix(plane[y.far, x.near], plane[y.far, x.far], x.fraction)
    result: FloatArray = mix(top, bottom, y.fraction)
    return result


class Filter(NamedTuple):
    """Weights of the samples round coordinates: of a hat, or of a cubic B-spline of a width."""

    at: FloatArray
    inverse: np.float32
    scale: np.float32  # 0 for the hat
    first: NDArray[np.int64]
    last: NDArray[np.int64]

    @property
    def most(self) -> int:
        """Samples of the coordinate that has most."""
        return int((self.last - self.first).max(initial=-1)) + 1

    def weight(self, sample: NDArray[np.int64]) -> FloatArray:
        """The weight of one sample for each coordinate; 0 for those that are not of its own."""
        away = np.abs((sample.astype(np.float32) - self.at) * self.inverse)
        inner = np.fmax(np.float32(1) - away, np.float32(0))
        outer = np.fmax(np.float32(2) - away, np.float32(0))
        spline = (outer * outer * outer - np.float32(4) * (inner * inner * inner)) * self.scale
        weight = spline if self.scale else inner
        return np.asarray(np.where(sample <= self.last, weight, np.float32(0)))


def filter_at(coordinate: FloatArray, width: Any) -> Filter:
    """Of float32 coordinates in samples; NaN is far away, and a width that is NaN is 0."""
    at, spread = clamp(coordinate, -FARTHEST, FARTHEST), np.float32(clamp(width, 0, WIDEST))
    splined, one = bool(spread > 0), np.float32(1)
    reach, inverse = (np.float32(2) * spread, one / spread) if splined else (one, one)
    scale = inverse / np.float32(6) if splined else np.float32(0)
    first, last = np.ceil(at - reach).astype(np.int64), np.floor(at + reach).astype(np.int64)
    return Filter(at, inverse, scale, first, last)


class Weights(Protocol):
    """The weights of samples along one axis, for each of some places."""

    @property
    def first(self) -> NDArray[np.int64]:
        """The first sample of each place."""

    @property
    def most(self) -> int:
        """Samples of the place that has most."""

    def weight(self, sample: NDArray[np.int64]) -> FloatArray:
        """The weight of one sample for each place; 0 for those that are not of its own."""


def weighted(codes: FloatArray, along: Weights, down: Weights) -> FloatArray:
    """Codes (h, w) by weights of both axes, whose places broadcast together; edges repeat, and the
    weights need not add up to one."""
    shape = np.broadcast_shapes(along.first.shape, down.first.shape)
    total, weights = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for step_y in range(down.most):
        y = down.first + step_y
        row, across = np.zeros_like(total), np.zeros(along.first.shape, np.float32)
        for step_x in range(along.most):
            x = along.first + step_x
            weight = along.weight(x)
            row += weight * codes[_inside(y, codes.shape[0]), _inside(x, codes.shape[1])]
            across += weight
        weight = down.weight(y)
        total += weight * row
        weights += weight * across
    return total / weights


def _inside(index: Any, size: int) -> Any:
    return np.clip(index, 0, size - 1)


def affine(row: FloatArray, *point: FloatArray) -> FloatArray:
    """row[0] * point[0] + row[1] * point[1] ... + row[-1], summed from the left."""
    total: FloatArray = row[0] * point[0]
    for factor, value in zip(row[1:-1], point[1:], strict=True):
        total = total + factor * value
    result: FloatArray = total + row[-1]
    return result
