"""Frames in memory that two processes share: some buffers, each of one frame's planes.

Interface: `buffers = Buffers(like, count)` in the wire, `Buffers(like, count, fd)` in the restorer;
`buffers.write(number, frame)` copies a frame's planes in, `buffers.read(number)` gives a new frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from keeprt.engine.live.memory import Memory
from keeprt.engine.live.wire.decoding import TIME_BASE
from keeprt.engine.live.wire.pictures import planes
from keeprt.engine.media.info import VideoInfo


class Buffers:
    """`count` of them; frames are as `like` says."""

    def __init__(self, like: VideoInfo, count: int, fd: int | None = None) -> None:
        self.like, self.count = like, count
        views = planes(self._frame())
        self._shapes = [(view.shape, view.dtype) for view in views]
        self._size = sum(view.nbytes for view in views)
        size = self._size * count
        self.memory = Memory.create(size) if fd is None else Memory.of(fd, size)

    def write(self, number: int, frame: av.VideoFrame) -> None:
        """Copies a frame into a buffer."""
        for place, plane in zip(self._places(number), planes(frame), strict=True):
            place[:] = plane

    def read(self, number: int) -> av.VideoFrame:
        """A copy of a buffer, with the colour that all frames have."""
        frame = self._frame()
        for place, plane in zip(self._places(number), planes(frame), strict=True):
            plane[:] = place
        frame.pts, frame.time_base = 0, TIME_BASE
        return frame

    def _places(self, number: int) -> Iterator[npt.NDArray[Any]]:
        at = number * self._size
        for shape, kind in self._shapes:
            count = shape[0] * shape[1]
            view = np.frombuffer(self.memory.map, kind, count, at).reshape(shape)
            at += view.nbytes
            yield view

    def _frame(self) -> av.VideoFrame:
        like, colour = self.like, self.like.colour
        frame = av.VideoFrame(like.width, like.height, like.pixel_format)
        frame.colorspace, frame.color_range = colour.matrix, colour.range
        frame.color_primaries, frame.color_trc = colour.primaries, colour.transfer
        return frame
