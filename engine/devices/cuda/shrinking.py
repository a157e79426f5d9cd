"""Small pictures of video frames, made on the card: what faces are looked for in."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.devices.cuda.guest import join_stream, one_line, visit_card
from keeprt.engine.devices.cuda.kept import KeptMemory
from keeprt.engine.errors import UsageError
from keeprt.engine.frame.buffers import Array
from keeprt.engine.frame.video_list import frame_bytes, plane_starts, planes_in
from keeprt.kernels import launch
from keeprt.kernels.frame import FrameFormat
from keeprt.kernels.loader import load_kernels, prepared


class CardShrinker:
    """Frames of one format become RGB of one size, each waited for; one thread at a time."""

    def __init__(self, format: FrameFormat, width: int, height: int, device_id: int = 0) -> None:
        """Takes all memory. Raises UsageError for a picture larger than the frame, BackendError
        without a driver, a GPU, the wheels or enough memory."""
        self._visit, self._closed = visit_card(device_id), False
        with self._visit as card, one_line("small pictures cannot be made on the card"):
            from cuda.core import EventOptions

            self._stream = join_stream(card, None)
            self._memory = memory = KeptMemory(card, self._stream)
            self._sent, sent = memory.pinned((frame_bytes(format),), np.uint8)
            self._result, self._picture = memory.pinned((height, width, 3), np.uint8)
            self._frame, self._made = memory.take(sent.size), memory.take(self._picture.size)
            start = int(self._frame.handle)
            planes = tuple(start + plane for plane in plane_starts(format))
            what = launch.shrink(planes, format, int(self._made.handle), width, height)
            self._shrink = prepared(load_kernels(device_id), what)
            # A thread that waits for it sleeps and does not spin.
            self._done = card.create_event(EventOptions(blocking_sync=True))
        self._planes = planes_in(sent, format)

    def shrink(self, planes: Sequence[Array]) -> NDArray[np.uint8]:
        """The picture of a frame's planes, RGB uint8 (height, width, 3), a new array. Raises
        UsageError once closed, BackendError where the card fails."""
        if self._closed:
            raise UsageError("these small pictures are closed: open them anew")
        for target, source in zip(self._planes, planes, strict=True):
            target[:] = source
        with self._visit, one_line("a small picture failed on the card"):
            self._sent.copy_to(self._frame, stream=self._stream)
            self._shrink(self._stream)
            self._made.copy_to(self._result, stream=self._stream)
            self._stream.record(self._done)
            self._done.sync()
        return np.array(self._picture)

    def close(self) -> None:
        """Gives the card's memory back. May be called twice."""
        if self._closed:
            return
        self._closed = True
        # Of a lost card nothing can be given back, and the error that lost it is the one to tell.
        with self._visit, suppress(Exception):
            self._memory.close()
            self._stream.sync()  # memory is given back in the order of the stream
            self._done.close()
            self._stream.close()
