"""Pictures made of decoded frames: smaller, of a region, larger; swscale's contexts are kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation, VideoReformatter

from keeprt.engine.faces.detection import Rgb
from keeprt.engine.faces.painting.planes import YuvFormat
from keeprt.engine.media import SourceFrame
from keeprt.engine.media.colour import Converter
from keeprt.engine.media.info import FULL_RANGE, LIMITED_RANGE, RgbImage
from keeprt.engine.pipeline.native import pixel_aspect, planar, planes_of, tone_for

T = TypeVar("T")

_MARGIN = 8  # pixels around a region, beyond the reach of any chroma filter
_GRID = 64  # sizes of regions: few of them, each with a context that takes milliseconds to make
_KEPT = 16


class Pictures:
    """Makes pictures for one stage of one pipeline; from one thread."""

    def __init__(self, threads: int = 0) -> None:
        """threads: swscale's, 0 for one per core."""
        self._threads = threads
        self._scalers: dict[tuple[Any, ...], VideoReformatter] = {}
        self._converters: dict[tuple[Any, ...], Converter] = {}

    def small(self, frame: SourceFrame, form: YuvFormat | None, side: int) -> Rgb:
        """The upright picture in square pixels, made smaller by area until its longer side is at
        most `side`, uint8 (h, w, 3). Reduced before it is converted, which takes a tenth of the
        time, but for frames of no known format (`form`)."""
        native, size = frame.native, small_size(frame, side)
        if size != (native.width, native.height) and form is not None:
            native = self._reduced(planar(frame), form, size)
        rgb = self._rgb(frame, native)
        if rgb.shape[1::-1] != size:
            rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))
        return np.asarray(frame.info.orientation.upright(rgb), np.uint8)

    def whole(self, frame: SourceFrame) -> Rgb:
        """The upright picture as detector and network see it, uint8 (H, W, 3)."""
        tone = tone_for(frame)
        return frame.rgb() if tone is None else tone.to_sdr(frame.rgb16())

    def region(
        self, frame: SourceFrame, form: YuvFormat, left: int, top: int, right: int, bottom: int
    ) -> tuple[Rgb, int, int]:
        """The stored pixels of a rectangle inside the frame as the network sees them, uint8 RGB,
        and the left and top pixel that were really taken: a margin is added, and chroma samples
        are not split."""
        part, left, top = self._part(frame, form, left, top, right, bottom)
        return self._rgb(frame, part), left, top

    def deep_region(
        self, frame: SourceFrame, form: YuvFormat, left: int, top: int, right: int, bottom: int
    ) -> tuple[npt.NDArray[np.uint16], int, int]:
        """Like `region`, the code values themselves, full-range uint16."""
        part, left, top = self._part(frame, form, left, top, right, bottom)
        return self._deep(frame, part), left, top

    def _part(
        self, frame: SourceFrame, form: YuvFormat, left: int, top: int, right: int, bottom: int
    ) -> tuple[av.VideoFrame, int, int]:
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
        return part, left, top

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

    def _reduced(
        self, native: av.VideoFrame, form: YuvFormat, size: tuple[int, int]
    ) -> av.VideoFrame:
        """By area, with as many chroma samples as luma samples; no colour changes."""
        name = native.format.name
        if not name.startswith("gray"):
            name = "yuv444p" if form.depth == 8 else f"yuv444p{form.depth}le"
        same_range = FULL_RANGE if form.full_range else LIMITED_RANGE
        smaller = self._scaled(
            native,
            Interpolation.AREA,
            width=size[0],
            height=size[1],
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
        """The picture that is seen: HDR as SDR."""
        tone = tone_for(frame)
        if tone is not None:
            return tone.to_sdr(self._deep(frame, native))
        return np.asarray(self._converted(frame, native, 8), np.uint8)

    def _deep(self, frame: SourceFrame, native: av.VideoFrame) -> npt.NDArray[np.uint16]:
        return np.asarray(self._converted(frame, native, 16), np.uint16)

    def _converted(self, frame: SourceFrame, native: av.VideoFrame, bits: int) -> RgbImage:
        """As the whole frame would be converted: by its height an unspecified matrix is guessed."""
        colour = frame.colour
        colour = dataclasses.replace(colour, matrix=colour.matrix_for(frame.info.height))
        key = (native.format.name, native.width, native.height)
        converter = _kept(self._converters, key, lambda: Converter(self._threads))
        return converter.to_rgb(native, colour, bits)

    def _scaled(self, native: av.VideoFrame, how: Interpolation, **to: Any) -> av.VideoFrame:
        key = (native.format.name, how, *to.values())
        scaler = _kept(self._scalers, key, VideoReformatter)
        return scaler.reformat(native, interpolation=int(how), threads=self._threads, **to)


def small_size(frame: SourceFrame, side: int) -> tuple[int, int]:
    """Width and height of `Pictures.small` in square pixels, as stored: a field's lines stand for
    two."""
    width = frame.decoded.width * pixel_aspect(frame.info)
    height = frame.decoded.height * (1 if frame.parity is None else 2)
    factor = min(1.0, side / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _kept(kept: dict[tuple[Any, ...], T], key: tuple[Any, ...], make: Callable[[], T]) -> T:
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
