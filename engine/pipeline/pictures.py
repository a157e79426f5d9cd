"""Pictures made of decoded frames: smaller, of a region, larger; swscale's contexts are kept."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from keeprt.engine.faces.detection import Rgb
from keeprt.engine.faces.planes import YuvFormat
from keeprt.engine.media import SourceFrame
from keeprt.engine.media.colour import Converter
from keeprt.engine.media.info import FULL_RANGE, LIMITED_RANGE
from keeprt.engine.pipeline.native import planar, planes_of

T = TypeVar("T")

_MARGIN = 8  # pixels around a region, beyond the reach of any chroma filter
_GRID = 64  # sizes of regions: few of them, each with a context that takes milliseconds to make
_KEPT = 16


class Pictures:
    """Makes pictures for one stage of one pipeline; from one thread."""

    def __init__(self) -> None:
        self._scalers: dict[tuple[Any, ...], VideoReformatter] = {}
        self._converters: dict[tuple[Any, ...], Converter] = {}

    def small(self, frame: SourceFrame, form: YuvFormat | None, side: int) -> Rgb:
        """The upright picture made smaller by area until its longer side is `side`, uint8
        (h, w, 3); never larger. Reduced before it is converted, which takes a tenth of the time.
        Frames of no known format (`form`) are only converted."""
        native, longest = frame.native, max(frame.native.width, frame.native.height)
        if longest > side and form is not None:
            native = self._reduced(planar(frame), form, side / longest)
        return np.asarray(frame.info.orientation.upright(self._rgb(frame, native)), np.uint8)

    def region(
        self, frame: SourceFrame, form: YuvFormat, left: int, top: int, right: int, bottom: int
    ) -> tuple[Rgb, int, int]:
        """The stored pixels of a rectangle inside the frame, uint8 RGB, and the left and top pixel
        that were really taken: a margin is added, and chroma samples are not split."""
        native = planar(frame)
        left, right = _widened(left, right, native.width)
        top, bottom = _widened(top, bottom, native.height)
        part = self._frame_like(native, right - left, bottom - top)
        if part is not native:
            for index, (source, target) in enumerate(
                zip(planes_of(native, form.depth), planes_of(part, form.depth), strict=True)
            ):
                x, y = (left // form.step_x, top // form.step_y) if index else (left, top)
                target[:] = source[y : y + target.shape[0], x : x + target.shape[1]]
        return self._rgb(frame, part), left, top

    def enlarged(self, native: av.VideoFrame, scale: int) -> av.VideoFrame:
        """The frame so many times larger, by Lanczos, in its own format and at its own time."""
        larger = self._scaled(
            native,
            Interpolation.LANCZOS | Interpolation.ACCURATE_RND,
            width=native.width * scale,
            height=native.height * scale,
        )
        larger.pts, larger.time_base = native.pts, native.time_base
        larger.duration = native.duration
        return larger

    def _reduced(self, native: av.VideoFrame, form: YuvFormat, factor: float) -> av.VideoFrame:
        """By area, with as many chroma samples as luma samples; no colour changes."""
        name = native.format.name
        if not name.startswith("gray"):
            name = "yuv444p" if form.depth == 8 else f"yuv444p{form.depth}le"
        same_range = FULL_RANGE if form.full_range else LIMITED_RANGE
        smaller = self._scaled(
            native,
            Interpolation.AREA,
            width=max(1, round(native.width * factor)),
            height=max(1, round(native.height * factor)),
            format=name,
            src_color_range=same_range,
            dst_color_range=same_range,
        )
        smaller.color_range = same_range
        return smaller

    def _frame_like(self, native: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
        """A frame of another size to be filled; itself for its own size. PyAV cannot set where
        chroma samples lie, but a scaled frame inherits it."""
        return self._scaled(native, Interpolation.POINT, width=width, height=height)

    def _rgb(self, frame: SourceFrame, native: av.VideoFrame) -> Rgb:
        """As the whole frame would be converted: by its height an unspecified matrix is guessed."""
        colour = frame.colour
        colour = dataclasses.replace(colour, matrix=colour.matrix_for(frame.native.height))
        key = (native.format.name, native.width, native.height)
        return np.asarray(_kept(self._converters, key, Converter).to_rgb(native, colour, 8))

    def _scaled(self, native: av.VideoFrame, how: Interpolation, **to: Any) -> av.VideoFrame:
        key = (native.format.name, how, *to.values())
        scaler = _kept(self._scalers, key, VideoReformatter)
        return scaler.reformat(native, interpolation=int(how), **to)


def _kept(kept: dict[tuple[Any, ...], T], key: tuple[Any, ...], make: type[T]) -> T:
    if key not in kept:
        if len(kept) == _KEPT:
            del kept[next(iter(kept))]  # the oldest
        kept[key] = make()
    return kept[key]


def _widened(low: int, high: int, limit: int) -> tuple[int, int]:
    """A range with its margin, its length on a grid where the frame is long enough for that.

    Both ends are even, or the frame's: of an odd size swscale stretches the chroma.
    """
    low, high = max(0, low - _MARGIN) // 8 * 8, min(high + _MARGIN, limit)
    high = min(low + -(-(high - low) // _GRID) * _GRID, limit)
    return low, high
