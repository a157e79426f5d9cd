"""Decoded frames as planes of code values: which formats can be composited as they are, and how."""

from __future__ import annotations

import re
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from keeprt.engine.faces.alignment import Affine
from keeprt.engine.faces.painting.planes import ChromaPlace, Matrix, YuvFormat
from keeprt.engine.faces.tone import Tone, tone_of
from keeprt.engine.media import Orientation, SourceFrame, VideoInfo
from keeprt.engine.media.info import FULL_RANGE, ColourTags

Planes = tuple[npt.NDArray[Any], ...]

# Alpha, in a fourth plane, stays as it is.
_PLANAR = re.compile(r"yuv(j|a?)(4\d\d)p(\d*)(le)?$")
_GREY = re.compile(r"gray(\d*)(le)?$")
_STEPS = {"410": (4, 4), "411": (4, 1), "420": (2, 2), "422": (2, 1), "440": (1, 2), "444": (1, 1)}
# Other layouts of the same samples: repacking them into planes loses nothing.
_REPACKED = {
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "nv24": "yuv444p",
    "nv42": "yuv444p",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "yvyu422": "yuv422p",
    "nv20le": "yuv422p10le",
    "p010le": "yuv420p10le",
    "p210le": "yuv422p10le",
    "p410le": "yuv444p10le",
    "y210le": "yuv422p10le",
}
# AVColorSpace numbers, ITU-T H.273 table 4.
_MATRICES: dict[int, Matrix] = {
    1: "bt709",
    4: "fcc",
    5: "bt601",
    6: "bt601",
    7: "smpte240m",
    9: "bt2020",
    10: "bt2020",
}
_MOST_ASPECT = 8.0
# PyAV does not tell where a frame's chroma samples lie: what these codecs do, and all others.
_CENTRED = ("mjpeg", "mpeg1video", "images")


def yuv_format(frame: SourceFrame) -> YuvFormat | None:
    """How the frame's planes, repacked if need be, stand for colour; None if it has no such."""
    return form_of(frame.native.format.name, frame.colour, frame.info)


def form_of(name: str, colour: ColourTags, info: VideoInfo) -> YuvFormat | None:
    """As `yuv_format`, for frames of a pixel format, by FFmpeg's name, and their colour."""
    name = _REPACKED.get(name, name)
    grey = _GREY.match(name)
    if grey is not None:
        return YuvFormat(int(grey[1] or 8), 1, 1, full_range=colour.range == FULL_RANGE)
    planar = _PLANAR.match(name)
    matrix = _MATRICES.get(colour.matrix_for(info.height))
    if planar is None or matrix is None or planar[2] not in _STEPS:
        return None
    full = planar[1] == "j" or colour.range == FULL_RANGE
    place: ChromaPlace = "center" if info.codec in _CENTRED else "left"
    return YuvFormat(int(planar[3] or 8), *_STEPS[planar[2]], matrix, full, place)


def planar(frame: SourceFrame) -> av.VideoFrame:
    """The native frame in the planar layout of the same samples; itself if it is planar."""
    name = _REPACKED.get(frame.native.format.name)
    if name is None:
        return frame.native
    return frame.converter.to_format(frame.native, name, frame.colour)


def planes_of(native: av.VideoFrame, depth: int) -> Planes:
    """Writable views (h, w) of the colour planes of a planar frame, uint8 or uint16."""
    kind = np.dtype(np.uint8 if depth == 8 else "<u2")
    views = []
    for plane in native.planes[: min(3, len(native.planes))]:
        rows = np.frombuffer(memoryview(plane), kind)
        stride = plane.line_size // kind.itemsize
        views.append(rows.reshape(-1, stride)[: plane.height, : plane.width])
    return tuple(views)


def tone_for(frame: SourceFrame) -> Tone | None:
    """How a PQ or HLG frame is seen as SDR; None for any other."""
    return tone_of(frame.colour.transfer, frame.colour.primaries)


def pixel_aspect(info: VideoInfo) -> float:
    """Width of a stored pixel by its height; 1 where the file says nothing that can be true."""
    ratio = float(info.sample_aspect_ratio or 1)
    return ratio if 1 / _MOST_ASPECT <= ratio <= _MOST_ASPECT else 1.0


def square_pixels(info: VideoInfo) -> Affine:
    """The transform (2, 3) of the upright frame's pixels to square ones of the same height."""
    ratio = pixel_aspect(info)
    wide = 1 / ratio if info.orientation.transpose else ratio
    return np.array([[wide, 0.0, (wide - 1) / 2], [0.0, 1.0, 0.0]])


def compose(last: Affine, first: Affine) -> Affine:
    """The transform (2, 3) that does `first`, then `last`."""
    return np.asarray(last @ np.vstack([first, (0.0, 0.0, 1.0)]), np.float64)


def native_affine(affine: Affine, frame: SourceFrame) -> Affine:
    """The transform of an upright whole frame, for the pixels of `frame.native`."""
    info = frame.info
    return of_field(stored_affine(affine, info.orientation, info.upright_size), frame)


def of_field(affine: Affine, frame: SourceFrame) -> Affine:
    """The transform of a whole frame, for its field if the frame is one."""
    if frame.parity is None:
        return affine
    return compose(affine, np.array([[1.0, 0.0, 0.0], [0.0, 2.0, frame.parity]]))


def stored_affine(affine: Affine, orientation: Orientation, upright: tuple[int, int]) -> Affine:
    """The transform of an upright frame of (width, height), for the pixels as they are stored."""
    turn = np.eye(3)
    if orientation.transpose:
        turn = turn[[1, 0, 2]]
    for axis, flipped in enumerate((orientation.flip_x, orientation.flip_y)):
        if flipped:
            turn[axis] = -turn[axis]
            turn[axis, 2] += upright[axis] - 1
    return affine @ turn
