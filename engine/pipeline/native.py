"""Decoded frames as planes of code values: which formats can be composited as they are, and how."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation, VideoReformatter

from keeprt.engine.faces.alignment import Affine
from keeprt.engine.faces.detection import Rgb
from keeprt.engine.faces.planes import ChromaPlace, Matrix, YuvFormat
from keeprt.engine.media import Orientation, SourceFrame
from keeprt.engine.media.info import FULL_RANGE, LIMITED_RANGE

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
_MARGIN = 8  # pixels around a region, beyond the reach of any chroma filter


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


def small_rgb(frame: SourceFrame, form: YuvFormat | None, side: int) -> Rgb:
    """The upright picture made smaller by area until its longer side is `side`, uint8 (h, w, 3);
    never larger. Reduced before it is converted, which takes a twentieth of the time."""
    native, longest = frame.native, max(frame.native.width, frame.native.height)
    if longest > side and form is not None:
        native = _reduced(planar(frame), form, side / longest)
    return np.asarray(frame.info.orientation.upright(_stored_rgb(frame, native)), np.uint8)


def region_rgb(
    frame: SourceFrame, form: YuvFormat, left: int, top: int, right: int, bottom: int
) -> tuple[Rgb, int, int]:
    """The stored pixels of a rectangle (cut to the frame), uint8 RGB, with the left and top column
    and row that were really taken: a margin is added, and chroma samples are not split."""
    native = planar(frame)
    # Multiples of 8: of an odd size swscale stretches the chroma.
    left, top = (max(0, edge - _MARGIN) // 8 * 8 for edge in (left, top))
    right, bottom = (-(-(edge + _MARGIN) // 8) * 8 for edge in (right, bottom))
    right, bottom = min(right, native.width), min(bottom, native.height)
    part = _frame_like(native, right - left, bottom - top)
    if part is native:
        return _stored_rgb(frame, native), 0, 0
    for index, (source, target) in enumerate(
        zip(planes_of(native, form.depth), planes_of(part, form.depth), strict=True)
    ):
        x, y = (left // form.step_x, top // form.step_y) if index else (left, top)
        target[:] = source[y : y + target.shape[0], x : x + target.shape[1]]
    return _stored_rgb(frame, part), left, top


def enlarged(native: av.VideoFrame, scale: int) -> av.VideoFrame:
    """The frame so many times larger, by Lanczos, in its own format and at its own time."""
    flags = int(Interpolation.LANCZOS | Interpolation.ACCURATE_RND)
    larger = VideoReformatter().reformat(
        native, width=native.width * scale, height=native.height * scale, interpolation=flags
    )
    larger.pts, larger.time_base = native.pts, native.time_base
    larger.duration = native.duration
    return larger


def _frame_like(native: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    """A frame of another size to be filled; itself for its own size. PyAV cannot set where chroma
    samples lie, but a scaled frame inherits it."""
    return VideoReformatter().reformat(
        native, width=width, height=height, interpolation=int(Interpolation.POINT)
    )


def _reduced(native: av.VideoFrame, form: YuvFormat, factor: float) -> av.VideoFrame:
    """Made smaller by area, with as many chroma samples as luma samples; no colour changes."""
    name = native.format.name
    if not name.startswith("gray"):
        name = "yuv444p" if form.depth == 8 else f"yuv444p{form.depth}le"
    same_range = FULL_RANGE if form.full_range else LIMITED_RANGE
    smaller = VideoReformatter().reformat(
        native,
        width=max(1, round(native.width * factor)),
        height=max(1, round(native.height * factor)),
        format=name,
        src_color_range=same_range,
        dst_color_range=same_range,
        interpolation=int(Interpolation.AREA),
    )
    smaller.color_range = same_range
    return smaller


def _stored_rgb(frame: SourceFrame, native: av.VideoFrame) -> Rgb:
    """As the whole frame would be converted: by its height an unspecified matrix is guessed."""
    colour = frame.colour
    colour = dataclasses.replace(colour, matrix=colour.matrix_for(frame.native.height))
    return np.asarray(frame.converter.to_rgb(native, colour, 8), np.uint8)
