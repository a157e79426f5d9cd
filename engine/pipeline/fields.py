"""Interlaced video: every frame as its two fields on the way in, put together again on the way out.

A field is a picture of half the lines, half a frame's time from the other: on whole frames a face
that moves is a comb. Rows are copied, nothing is resampled: what is not painted stays as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from keeprt.engine.errors import MediaError, UsageError
from keeprt.engine.faces.painting.compositing import RgbPicture
from keeprt.engine.media import Orientation, Sink, SourceFrame
from keeprt.engine.media.errors import display_name
from keeprt.engine.media.source import Field
from keeprt.engine.pipeline.native import planar
from keeprt.engine.pipeline.options import RestoreOptions

log = logging.getLogger(__name__)


def open_fields(
    frames: Iterable[SourceFrame], sink: Sink, options: RestoreOptions
) -> tuple[Iterator[SourceFrame], Sink]:
    """The pictures to work on and where they go, by the first frame: fields of interlaced video,
    frames of any other. It is said which.

    Raises MediaError for interlaced video that is to be refused or cannot be taken apart.
    """
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        return frames, sink
    frames = chain([first], frames)
    if not first.decoded.interlaced_frame:
        return warned(frames), sink
    name = display_name(first.info.path)
    if options.interlaced == "refuse":
        raise MediaError(f"{name} is interlaced; --interlaced field or frame says what to do")
    if options.interlaced == "frame":
        log.warning("%s is interlaced: both fields of a frame are taken for one picture", name)
        return frames, sink
    if options.scale != 1:
        raise UsageError("interlaced video cannot be enlarged field by field; leave --scale out")
    if first.info.orientation != Orientation():
        raise MediaError(f"{name} is interlaced and turned; give --interlaced frame")
    log.warning("%s is interlaced: each field is restored by itself (twice the work)", name)
    return (field for frame in frames for field in split(frame)), FieldJoiner(sink)


def warned(frames: Iterable[SourceFrame]) -> Iterator[SourceFrame]:
    """The same frames; one warning if one of them is interlaced after all."""
    said = False
    for frame in frames:
        if frame.decoded.interlaced_frame and not said:
            said = True
            log.warning(
                "frame %d is interlaced, the first was not: it is taken as a whole", frame.index
            )
        yield frame


def split(frame: SourceFrame) -> list[SourceFrame]:
    """The two fields in the order of their times."""
    whole = replace(frame, decoded=planar(frame))
    order = (1, 0) if getattr(frame.info, "field_order", "tt") == "bb" else (0, 1)
    return [
        replace(
            whole,
            decoded=_lines(whole.native, parity),
            field=Field(parity, whole, is_last=parity == order[1]),
        )
        for parity in order
    ]


class FieldJoiner(Sink):
    """A sink that takes both fields of each frame, one after the other, and writes the frame."""

    path: Path

    def __init__(self, sink: Sink) -> None:
        self.path, self._sink = sink.path, sink
        self._rgb: RgbPicture | None = None

    def write(self, frame: SourceFrame | av.VideoFrame) -> None:
        if not isinstance(frame, SourceFrame) or frame.field is None:
            raise UsageError("a joiner of fields was given a whole frame")
        field, whole = frame.field, frame.field.whole.native
        whole.make_writable()  # the decoder may still predict from it
        for target, source in zip(_rows(whole), _rows(frame.native), strict=True):
            lines = target[field.parity :: 2]
            lines[:, : source.shape[1]] = source[: len(lines), : lines.shape[1]]
        if field.is_last:
            self._sink.write(field.whole)

    def write_rgb(self, rgb: RgbPicture, like: SourceFrame) -> None:
        if like.field is None:
            raise UsageError("a joiner of fields was given a whole frame")
        if self._rgb is None:
            height = like.field.whole.native.height
            self._rgb = np.empty((height, *rgb.shape[1:]), rgb.dtype)
        self._rgb[like.field.parity :: 2] = rgb[: len(self._rgb[like.field.parity :: 2])]
        if like.field.is_last:
            self._sink.write_rgb(self._rgb, like.field.whole)

    def close(self) -> None:
        self._sink.close()

    def abort(self) -> None:
        self._sink.abort()


def _lines(native: av.VideoFrame, parity: int) -> av.VideoFrame:
    """A frame of every second line."""
    height = (native.height + 1 - parity) // 2
    half = av.VideoFrame(native.width, height, native.format.name)
    for target, source in zip(_rows(half), _rows(native), strict=True):
        lines = source[parity::2]
        target[: len(lines), : lines.shape[1]] = lines[: len(target), : target.shape[1]]
    half.pts, half.time_base, half.duration = native.pts, native.time_base, native.duration
    half.colorspace, half.color_range = native.colorspace, native.color_range
    half.color_primaries, half.color_trc = native.color_primaries, native.color_trc
    return half


def _rows(native: av.VideoFrame) -> list[NDArray[Any]]:
    """Writable bytes (h, line) of each plane, padding included."""
    planes = []
    for plane in native.planes:
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        planes.append(rows[: plane.height])
    return planes
