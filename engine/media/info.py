"""What is known of a video before it is read: size, orientation, time, colour."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

RgbImage = NDArray[np.uint8] | NDArray[np.uint16]

FULL_RANGE = 2
LIMITED_RANGE = 1
MATRIX_RGB, MATRIX_BT709, MATRIX_UNSPECIFIED, MATRIX_BT601 = 0, 1, 2, 6
HD_HEIGHT = 720


def contiguous(picture: RgbImage) -> RgbImage:
    """The picture itself or a copy whose rows follow each other in memory."""
    return cast(RgbImage, np.ascontiguousarray(picture))


@dataclass(frozen=True)
class ColourTags:
    """Colour as FFmpeg numbers it: AVColorSpace, AVColorRange, AVColorPrimaries, AVColorTransfer...

    2 means unspecified for matrix, primaries and transfer; 0 for the range (1 limited, 2 full).
    """

    matrix: int = MATRIX_UNSPECIFIED
    range: int = 0
    primaries: int = 2
    transfer: int = 2

    def matrix_for(self, height: int) -> int:
        """The matrix to convert with: unspecified means BT.709 from 720 lines on, else BT.601."""
        if self.matrix not in (MATRIX_UNSPECIFIED, MATRIX_RGB):
            return self.matrix
        return MATRIX_BT709 if height >= HD_HEIGHT else MATRIX_BT601


@dataclass(frozen=True)
class Orientation:
    """How stored pixels are turned for display: transposed first, then flipped.

    A display matrix (a, b, c, d, ...) takes a stored point (p, q) to (a p + c q, b p + d q); of it
    only the eight right-angled cases exist in practice, others are snapped to the nearest.
    """

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @staticmethod
    def from_matrix(matrix: tuple[int, ...] | None) -> Orientation:
        """The orientation of a 9-integer FFmpeg display matrix."""
        if matrix is None:
            return Orientation()
        a, b, _, c, d = matrix[:5]
        if abs(b) > abs(a):
            return Orientation(True, c < 0, b < 0)
        return Orientation(False, a < 0, d < 0)

    def upright(self, stored: RgbImage) -> RgbImage:
        """A stored picture (H, W, 3) turned for display; a contiguous array."""
        picture: RgbImage = stored.swapaxes(0, 1) if self.transpose else stored
        return contiguous(self._flipped(picture))

    def stored(self, upright: RgbImage) -> RgbImage:
        """The inverse of `upright`."""
        picture = self._flipped(upright)
        return contiguous(picture.swapaxes(0, 1) if self.transpose else picture)

    def _flipped(self, picture: RgbImage) -> RgbImage:
        return picture[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]


def rotation_matrix(degrees_ccw: int) -> tuple[int, ...]:
    """FFmpeg's display matrix of a counter-clockwise turn (16.16 fixed point, 2.30 at the end)."""
    angle = math.radians(degrees_ccw)
    cos, sin = round(math.cos(angle) * 65536), round(math.sin(angle) * 65536)
    return (cos, -sin, 0, sin, cos, 0, 0, 0, 1 << 30)


@dataclass(frozen=True)
class VideoInfo:
    """A video's (or image folder's) properties; width and height are those of the stored picture.

    `frame_count` is what the container says, None if it says nothing. `start_s` is the time of the
    first frame. `display_matrix` is FFmpeg's 9 integers, None when the picture is stored upright.
    """

    path: Path | str
    width: int
    height: int
    pixel_format: str
    bit_depth: int
    time_base: Fraction
    average_rate: Fraction | None = None
    frame_count: int | None = None
    start_s: float = 0.0
    duration_s: float | None = None
    colour: ColourTags = ColourTags()
    display_matrix: tuple[int, ...] | None = None
    sample_aspect_ratio: Fraction | None = None
    codec: str = ""
    is_rgb: bool = False
    is_folder: bool = False
    has_audio: bool = False
    has_subtitles: bool = False

    @property
    def orientation(self) -> Orientation:
        """How the stored picture is turned for display."""
        return Orientation.from_matrix(self.display_matrix)

    @property
    def rotation_degrees(self) -> int:
        """Clockwise turn from stored to displayed picture: 0, 90, 180 or 270 (mirroring apart)."""
        if self.display_matrix is None:
            return 0
        angle = math.degrees(math.atan2(self.display_matrix[1], self.display_matrix[0]))
        return round(angle / 90) % 4 * 90

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height as displayed (pixels; the sample aspect ratio is not applied)."""
        if self.orientation.transpose:
            return self.height, self.width
        return self.width, self.height
