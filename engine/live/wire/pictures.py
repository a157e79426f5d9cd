"""Pictures that are not the source's, or not of its size: black, the slate, the preview."""

from __future__ import annotations

import os
import re
from typing import Any

import av
import av.error
import numpy as np
import numpy.typing as npt

from keeprt.engine.errors import MediaError, UsageError
from keeprt.engine.live.preview import LARGEST
from keeprt.engine.media.errors import reason
from keeprt.engine.media.filters import FilterRow
from keeprt.engine.media.info import FULL_RANGE, VideoInfo

PREVIEW_SIDE = 480


def black(like: VideoInfo) -> av.VideoFrame:
    """A black picture of the same size, format and colour."""
    frame = av.VideoFrame(like.width, like.height, like.pixel_format)
    colour = like.colour
    frame.colorspace, frame.color_range = colour.matrix, colour.range
    frame.color_primaries, frame.color_trc = colour.primaries, colour.transfer
    full = colour.range == FULL_RANGE or like.pixel_format.startswith("yuvj")
    for number, plane in enumerate(planes(frame)):
        level = 128 if number else 0 if full else 16
        plane[:] = level << (like.bit_depth - 8)
    return frame


def fitted(frame: av.VideoFrame, like: VideoInfo) -> av.VideoFrame:
    """The whole picture, as large as it fits, in the middle of a black one."""
    if (frame.width, frame.height, frame.format.name) == (
        like.width,
        like.height,
        like.pixel_format,
    ):
        return frame
    scale = min(like.width / frame.width, like.height / frame.height)
    size = [max(2, round(side * scale) // 2 * 2) for side in (frame.width, frame.height)]
    small = frame.reformat(width=size[0], height=size[1], format=like.pixel_format)
    if size == [like.width, like.height]:
        return small
    out = black(like)
    for whole, part in zip(planes(out), planes(small), strict=True):
        top, left = ((a - b) // 2 for a, b in zip(whole.shape, part.shape, strict=True))
        whole[top : top + part.shape[0], left : left + part.shape[1]] = part
    return out


def load_slate(path: str, like: VideoInfo) -> av.VideoFrame:
    """The picture of a file, fitted. Raises MediaError or UsageError."""
    if not os.path.exists(path):  # noqa: PTH110  (no Path: an address is none)
        raise UsageError(f"the slate {path} is not there")
    try:
        with av.open(path) as container:
            frame = next(container.decode(video=0))
            colour = like.colour
            return fitted(
                frame.reformat(
                    format=like.pixel_format,
                    dst_colorspace=colour.matrix_for(like.height),
                    dst_color_range=colour.range or 1,
                ),
                like,
            )
    except (av.error.FFmpegError, StopIteration, ValueError, IndexError) as error:
        raise MediaError(f"the slate {path} is no picture: {reason(error)}") from error


class Fields:
    """Marks frames as fields: PyAV cannot, FFmpeg's filter does.

    x264 believes the frame, whatever it was opened with: one picture without the mark, and the
    order of the fields changes on air.
    """

    def __init__(self, like: VideoInfo) -> None:
        order = "tff" if like.field_order == "tt" else "bff"
        format = av.VideoFormat(like.pixel_format)
        self._marked = FilterRow(like.width, like.height, format, [("setfield", order)])

    def mark(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The same picture, marked; itself where it is."""
        return frame if frame.interlaced_frame else self._marked(frame)


def preview_size(width: int, height: int) -> tuple[int, int]:
    """What a preview of a picture measures, at most `PREVIEW_SIDE` and `LARGEST`."""
    scale = min(1.0, PREVIEW_SIDE / max(width, height))
    small = max(2, round(width * scale) // 2 * 2), max(2, round(height * scale) // 2 * 2)
    assert small[0] * small[1] <= LARGEST
    return small


def rgb(frame: av.VideoFrame, width: int, height: int) -> bytes:
    """RGB24 without gaps."""
    return frame.reformat(width, height, "rgb24").to_ndarray().tobytes()


def planes(frame: av.VideoFrame) -> list[npt.NDArray[Any]]:
    """Writable views (h, w) of the planes of a planar frame, uint8 or uint16."""
    deep = re.search(r"p(9|1\d)", frame.format.name)
    kind = np.dtype("<u2" if deep else np.uint8)
    views = []
    for plane in frame.planes:
        rows = np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // kind.itemsize)
        views.append(rows[: plane.height, : plane.width])
    return views
