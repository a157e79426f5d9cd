"""Decoded frames as planes of code values: which formats can be composited as they are, and how."""

from __future__ import annotations

import re
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from keeprt.engine.faces.alignment import Affine
from keeprt.engine.faces.planes import ChromaPlace, Matrix, YuvFormat
from keeprt.engine.media import Orientation, SourceFrame
from keeprt.engine.media.info import FULL_RANGE

Planes = tuple[npt.NDArray[Any], ...]

_PLANAR = re.compile(r"yuv(j?)(4\d\d)p(\d*)(le)?$")
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
# PyAV does not tell where a frame's chroma samples lie: what these codecs do, and all others.
_CENTRED = ("mjpeg", "mpeg1video", "images")


def yuv_format(frame: SourceFrame) -> YuvFormat | None:
    """How the frame's planes, repacked if need be, stand for colour; None if it has no such."""
    name = _REPACKED.get(frame.native.format.name, frame.native.format.name)
    colour = frame.colour
    grey = _GREY.match(name)
    if grey is not None:
        return YuvFormat(int(grey[1] or 8), 1, 1, full_range=colour.range == FULL_RANGE)
    planar = _PLANAR.match(name)
    matrix = _MATRICES.get(colour.matrix_for(frame.native.height))
    if planar is None or matrix is None or planar[2] not in _STEPS:
        return None
    full = bool(planar[1]) or colour.range == FULL_RANGE
    place: ChromaPlace = "center" if frame.info.codec in _CENTRED else "left"
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
