"""Pixel formats: a frame as three strided components and an affine map between codes and RGB.

What is assumed: 4:2:0 and 4:2:2 chroma is sited "left" unless said otherwise (MPEG-2, H.264,
HEVC: on the pixel column, half-way between two rows); BT.2020 material is often "topleft", JPEG
and MPEG-1 "center". Codes follow ITU-T H.273: limited range is 16..235 and 16..240 times 2^(bits
- 8); full-range chroma is centred on 2^(bits - 1). RGB stays in the transfer function of the
video: nothing is linearised.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.kernels.errors import UsageError

Planes = Sequence[NDArray[Any]]

LUMA_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
ON_PIXEL_COLUMN = {"left": True, "topleft": True, "center": False, "top": False}
ON_PIXEL_ROW = {"left": False, "topleft": True, "center": False, "top": True}
BORDER_RGB = (132, 133, 135)  # outside the frame: docs/model.md, section 15.4

# In the order of FrameFormat in frame.cuh; every member has four bytes.
FRAME_DTYPE = np.dtype(
    [
        ("width", "i4"),
        ("height", "i4"),
        ("chroma_width", "i4"),
        ("chroma_height", "i4"),
        ("pitch", "i4", 3),
        ("step", "i4", 3),
        ("shift", "i4", 3),
        ("largest_code", "i4"),
        ("to_rgb", "f4", (3, 4)),
        ("from_rgb", "f4", (3, 4)),
        ("chroma_x", "f4", 2),
        ("chroma_y", "f4", 2),
        ("chroma_taps_x", "f4", 3),
        ("chroma_taps_y", "f4", 3),
        ("border", "f4", 3),
    ]
)


@dataclass(frozen=True)
class PixelLayout:
    """Where the three components (Y, Cb, Cr or R, G, B) of a pixel lie."""

    dtype: type[np.unsignedinteger[Any]]
    bits: int
    plane: tuple[int, int, int] = (0, 1, 2)
    offset: tuple[int, int, int] = (0, 0, 0)  # samples from the start of a row
    step: tuple[int, int, int] = (1, 1, 1)  # samples from column to column
    shift: tuple[int, int, int] = (0, 0, 0)  # bits below the code in its word
    halved_x: int = 0
    halved_y: int = 0
    rgb: bool = False


def _yuv(dtype: Any, bits: int, halved_y: int) -> PixelLayout:
    return PixelLayout(dtype, bits, halved_x=1, halved_y=halved_y)


def _biplanar(dtype: Any, bits: int, shift: int, order: tuple[int, int] = (0, 1)) -> PixelLayout:
    planes, shifts = (0, 1, 1), (shift, shift, shift)
    return PixelLayout(dtype, bits, planes, (0, *order), (1, 2, 2), shifts, 1, 1)


def _packed(dtype: Any, bits: int, step: int, offset: tuple[int, int, int]) -> PixelLayout:
    return PixelLayout(dtype, bits, (0, 0, 0), offset, (step, step, step), rgb=True)


# The names are FFmpeg's.
LAYOUTS = {
    "nv12": _biplanar(np.uint8, 8, 0),
    "nv21": _biplanar(np.uint8, 8, 0, (1, 0)),
    "p010le": _biplanar(np.uint16, 10, 6),
    "yuv420p": _yuv(np.uint8, 8, 1),
    "yuv420p10le": _yuv(np.uint16, 10, 1),
    "yuv422p": _yuv(np.uint8, 8, 0),
    "yuv422p10le": _yuv(np.uint16, 10, 0),
    "rgb24": _packed(np.uint8, 8, 3, (0, 1, 2)),
    "bgr24": _packed(np.uint8, 8, 3, (2, 1, 0)),
    "rgb48le": _packed(np.uint16, 16, 3, (0, 1, 2)),
    "x2rgb10le": PixelLayout(np.uint32, 10, (0, 0, 0), shift=(20, 10, 0), rgb=True),
}


@dataclass(frozen=True)
class FrameFormat:
    """The format of a video's frames. Pitches count samples, one per plane; None means tight."""

    pixel_format: str
    width: int
    height: int
    matrix: str = "bt709"
    full_range: bool = False
    siting: str = "left"
    pitches: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name, value, table in (
            ("pixel format", self.pixel_format, LAYOUTS),
            ("matrix", self.matrix, LUMA_WEIGHTS),
            ("chroma siting", self.siting, ON_PIXEL_COLUMN),
        ):
            if value not in table:
                raise UsageError(
                    f"{name} {value!r} is not supported; give one of {', '.join(table)}"
                )
        if min(self.width, self.height) < 1:
            raise UsageError(f"a frame of {self.width}x{self.height} has no pixels")
        tight = tuple(samples for _, samples in self._tight_planes())
        if self.pitches is not None and (
            len(self.pitches) != len(tight)
            or any(pitch < least for pitch, least in zip(self.pitches, tight, strict=True))
        ):
            raise UsageError(
                f"pitches {self.pitches} are shorter than the rows {tight}, in samples"
            )

    @property
    def layout(self) -> PixelLayout:
        """How the samples of its pixel format lie in planes and words."""
        return LAYOUTS[self.pixel_format]

    @property
    def chroma_size(self) -> tuple[int, int]:
        """Width and height of the second and third component."""
        layout = self.layout
        return -(-self.width >> layout.halved_x), -(-self.height >> layout.halved_y)

    def plane_shapes(self) -> list[tuple[int, int]]:
        """Rows and samples per row (the pitch) of each plane."""
        tight = self._tight_planes()
        pitches = self.pitches or tuple(samples for _, samples in tight)
        return [(rows, pitch) for (rows, _), pitch in zip(tight, pitches, strict=True)]

    def _tight_planes(self) -> list[tuple[int, int]]:
        layout, (chroma_width, chroma_height) = self.layout, self.chroma_size
        luma = (self.height, self.width * layout.step[0])
        chroma = (chroma_height, chroma_width * layout.step[1])
        return [luma] + [chroma] * (max(layout.plane))

    def record(self) -> NDArray[Any]:
        """The FRAME_DTYPE scalar array that the kernels read."""
        layout, shapes = self.layout, self.plane_shapes()
        record = np.zeros((), FRAME_DTYPE)
        record["width"], record["height"] = self.width, self.height
        record["chroma_width"], record["chroma_height"] = self.chroma_size
        record["pitch"] = [shapes[plane][1] for plane in layout.plane]
        record["step"], record["shift"] = layout.step, layout.shift
        record["largest_code"] = (1 << layout.bits) - 1
        codes = rgb_to_codes(self)
        record["from_rgb"] = codes
        record["to_rgb"] = np.linalg.inv(np.vstack([codes, [0, 0, 0, 1]]))[:3]
        for axis, halved, on_pixel in (
            ("x", layout.halved_x, ON_PIXEL_COLUMN[self.siting]),
            ("y", layout.halved_y, ON_PIXEL_ROW[self.siting]),
        ):
            record[f"chroma_{axis}"], record[f"chroma_taps_{axis}"] = _chroma_axis(halved, on_pixel)
        record["border"] = np.array(BORDER_RGB) / 255 * 2 - 1
        return record


def rgb_to_codes(format: FrameFormat) -> NDArray[np.float64]:
    """The affine map (3, 4) from RGB in [-1, 1] to codes: H.273, equations 38 to 48, unrounded."""
    bits, full = format.layout.bits, float((1 << format.layout.bits) - 1)
    if format.layout.rgb:
        return np.hstack([np.eye(3), np.ones((3, 1))]) * (full / 2)
    red, blue = LUMA_WEIGHTS[format.matrix]
    luma = np.array([red, 1 - red - blue, blue])
    cb = (np.array([0, 0, 1]) - luma) / (2 * (1 - blue))
    cr = (np.array([1, 0, 0]) - luma) / (2 * (1 - red))
    unit, middle = float(1 << (bits - 8)), float(1 << (bits - 1))
    scale = np.array([full] * 3 if format.full_range else [219 * unit, 224 * unit, 224 * unit])
    offset = np.array([0.0 if format.full_range else 16 * unit, middle, middle])
    linear = np.stack([luma, cb, cr]) * scale[:, None]
    return np.hstack([linear / 2, (linear.sum(axis=1) / 2 + offset)[:, None]])


def _chroma_axis(halved: int, on_pixel: bool) -> tuple[list[float], list[float]]:
    """Chroma index as a line in the pixel coordinate; weights of the pixels 2i - 1, 2i, 2i + 1."""
    if not halved:
        return [1, 0], [0, 1, 0]
    return ([0.5, 0], [0.25, 0.5, 0.25]) if on_pixel else ([0.5, -0.25], [0, 0.5, 0.5])


def components(planes: Planes, format: FrameFormat) -> list[NDArray[Any]]:
    """Views of the words of the three components, (rows, columns) each."""
    layout, shapes = format.layout, format.plane_shapes()
    if len(planes) != len(shapes):
        raise UsageError(f"{format.pixel_format} has {len(shapes)} planes, not {len(planes)}")
    for number, (plane, shape) in enumerate(zip(planes, shapes, strict=True)):
        if plane.shape != shape or plane.dtype != layout.dtype:
            wanted = np.dtype(layout.dtype).name
            raise UsageError(
                f"plane {number} is {plane.dtype} {plane.shape}; {format.pixel_format} at "
                f"{format.width}x{format.height} needs {wanted} {shape}"
            )
    widths = (format.width, format.chroma_size[0], format.chroma_size[0])
    return [
        planes[layout.plane[k]][:, layout.offset[k] :: layout.step[k]][:, : widths[k]]
        for k in range(3)
    ]


def codes_of(words: NDArray[Any], format: FrameFormat, k: int) -> NDArray[np.float32]:
    """The codes of component k, as float32."""
    largest = (1 << format.layout.bits) - 1
    return ((words >> format.layout.shift[k]) & largest).astype(np.float32)
