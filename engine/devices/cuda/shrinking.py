"""Small pictures of video frames, made on the card: what faces are looked for in."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.devices.cuda.guest import join_stream, one_line, visit_card
from keeprt.engine.devices.cuda.kept import KeptMemory
from keeprt.engine.devices.cuda.planes import CardPlanes, TightCopy
from keeprt.engine.errors import UsageError
from keeprt.engine.frame.buffers import Array
from keeprt.engine.frame.video_list import frame_bytes, plane_starts, planes_in
from keeprt.kernels import launch
from keeprt.kernels.frame import FrameFormat
from keeprt.kernels.loader import load_kernels, prepared

if TYPE_CHECKING:
    from cuda.core import Buffer


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
        self._format, self._planes = format, planes_in(sent, format)

    def shrink(self, planes: Sequence[Array] | CardPlanes) -> NDArray[np.uint8]:
        """The picture of a frame's planes, on the host or on this card, RGB uint8 (height, width,
        3), a new array. Raises UsageError once closed and for planes of another card, format or
        size, BackendError where the card fails."""
        if self._closed:
            raise UsageError("these small pictures are closed: open them anew")
        with self._visit, one_line("a small picture failed on the card"):
            self._source(planes).copy_to(self._frame, stream=self._stream)
            self._shrink(self._stream)
            self._made.copy_to(self._result, stream=self._stream)
            self._stream.record(self._done)
            self._done.sync()
        return np.array(self._picture)

    def _source(self, planes: Sequence[Array] | CardPlanes) -> Buffer | TightCopy:
        device = self._visit.device
        if isinstance(planes, CardPlanes):
            tight = TightCopy(planes, self._format, device.device_id)
            self._stream.wait(join_stream(device, planes.stream))
            return tight
        for target, source in zip(self._planes, planes, strict=True):
            target[:] = source
        return self._sent

    def close(self) -> None:
        """Gives the card's memory back. May be called twice."""
        if self._closed:
            return
        self._closed = True
        # Of a lost card nothing can be given back, and the error that lost it is the one to tell.
        with suppress(Exception), self._visit:
            self._memory.close()
            self._stream.sync()  # memory is given back in the order of the stream
            self._done.close()
            self._stream.close()
