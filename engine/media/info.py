"""What is known of a video before it is read: size, orientation, time, colour."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, cast

import av
import numpy as np
from numpy.typing import NDArray

RgbImage = NDArray[np.uint8] | NDArray[np.uint16]

#: "tt" top field first, "bb" bottom field first.
FieldOrder = Literal["progressive", "tt", "bb"]
ChromaLocation = Literal["left", "center", "topleft", "top", "bottomleft", "bottom"]

FULL_RANGE = 2
LIMITED_RANGE = 1
MATRIX_RGB, MATRIX_BT709, MATRIX_UNSPECIFIED, MATRIX_BT601 = 0, 1, 2, 6
HD_HEIGHT = 720
#: Two views in one picture, in `VideoInfo.extras`.
STEREO = "stereo packing"
_BT470BG = 5


def has_alpha(samples: av.VideoFormat) -> bool:
    """Whether a format stores how opaque a pixel is."""
    return any(component.is_alpha for component in samples.components)


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

    def meaning(self, height: int) -> tuple[int, int]:
        """Matrix and range that samples have; BT.470 BG and SMPTE 170M are one matrix."""
        matrix = self.matrix_for(height)
        return MATRIX_BT601 if matrix == _BT470BG else matrix, self.range or LIMITED_RANGE

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


Chromaticity = tuple[Fraction, Fraction]


@dataclass(frozen=True)
class Mastering:
    """The display that an HDR picture was made on (SMPTE ST 2086): CIE 1931 x, y and cd/m2."""

    red: Chromaticity
    green: Chromaticity
    blue: Chromaticity
    white: Chromaticity
    least_luminance: Fraction
    most_luminance: Fraction


@dataclass(frozen=True)
class LightLevel:
    """The brightest sample and the brightest frame's average of an HDR video (CTA-861.3), cd/m2."""

    content: int
    frame_average: int


@dataclass(frozen=True)
class VideoInfo:
    """A video's (or image folder's) properties; width and height are those of the stored picture.

    `extras` names what else a frame carries. `base_rate` is the lowest at which every frame has a
    place of its own, as FFmpeg guesses it.

    `frame_count` is what the container says, None if it says nothing. `start_s` is the time of the
    first frame. `display_matrix` is FFmpeg's 9 integers, None when the picture is stored upright.
    `field_order` is that of the first frame. `chroma_location` is where subsampled chroma lies,
    None where there is none or nobody says. `timecode` is that of the first frame, hh:mm:ss:ff.
    """

    path: Path | str
    width: int
    height: int
    pixel_format: str
    bit_depth: int
    time_base: Fraction
    average_rate: Fraction | None = None
    base_rate: Fraction | None = None
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
    has_cover: bool = False
    field_order: FieldOrder = "progressive"
    chroma_location: ChromaLocation | None = None
    mastering: Mastering | None = None
    light_level: LightLevel | None = None
    extras: tuple[str, ...] = ()
    has_captions: bool = False
    has_alpha: bool = False
    timecode: str | None = None

    @property
    def is_interlaced(self) -> bool:
        """Whether a frame is two fields, one line of each in turn."""
        return self.field_order != "progressive"

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
