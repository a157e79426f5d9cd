"""Stream mode on the card: frames of faces whose states lie there, two of them in flight.

A frame is one replay for each subgraph, with copies and kernels of ours between them. The second
frame's share of what does not wait for the first one's face runs beside it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.devices.cuda.arrays import DeviceArray, device_array
from keeprt.engine.devices.cuda.engines import Engines
from keeprt.engine.devices.cuda.guest import join_stream, one_line
from keeprt.engine.devices.cuda.pictures import PictureDevice
from keeprt.engine.devices.cuda.runner import CudaRunner
from keeprt.engine.devices.cuda.states import slot_of
from keeprt.engine.devices.cuda.times import H2D, FrameClock
from keeprt.engine.errors import UsageError
from keeprt.engine.frame.done import Done
from keeprt.engine.frame.face_list import FaceList
from keeprt.engine.frame.lanes import AHEAD
from keeprt.engine.frame.pixels import check_face
from keeprt.engine.frame.times import FrameTimes
from keeprt.engine.state import FaceState

if TYPE_CHECKING:
    from cuda.core import Buffer, Stream


class CudaFrames(CudaRunner[PictureDevice]):
    """Frames of one restorer of faces."""

    def __init__(
        self, bundle: Bundle, engines: Engines, *, faces: int, window: int, **how: Any
    ) -> None:
        """`how` as `CudaRunner` takes it; raises as that does."""
        self._size = bundle.face_size
        super().__init__(
            bundle,
            engines,
            lambda table: FaceList(bundle, table, window),
            PictureDevice,
            faces=faces,
            window=window,
            **how,
        )

    def check(self, face: Any) -> None:
        """Raises UsageError for a picture on the host that is no face; of one on the card, the
        frame itself does, before it touches a state."""
        if isinstance(face, np.ndarray):
            check_face(face, self._size)
        elif not hasattr(face, "__cuda_array_interface__") and not hasattr(face, "__dlpack__"):
            raise UsageError(f"a face must be an array on the host or the card, not {face!r:.60}")

    def submit(self, faces: Sequence[Any], states: Sequence[FaceState]) -> None:
        """Starts a frame of faces in rows, longest window first, whose states `placed` gave.

        `faces` are RGB uint8 (S, S, 3), on the host, which `check` has seen, or as device arrays,
        which are looked at before a state is touched. Raises UsageError where
        two frames are already in flight.
        """
        start, parity = time.perf_counter(), self._next()
        clock = self._lanes.clock
        if clock is not None:
            self._check_idle()
            clock.begin()
        with self._visit, one_line("the frame failed on the card"):
            self._send(faces, parity)
            windows, slots = [s.seen for s in states], [slot_of(s) for s in states]
            self._submit(windows, slots, parity, faces)
        if clock is not None:
            clock.enqueued()
        self._count(start)

    def collect(self) -> Done:
        """Waits for the oldest frame in flight and gives its pictures. Raises UsageError."""
        start = time.perf_counter()
        with self._visit:
            faces, parity, codes, broken = self._wait()
            pictures = [array.copy() for _, array in self._device.results[parity][: len(faces)]]
            if self._lanes.clock is not None:
                self._lanes.clock.collected()
        self._count(start)
        return Done(pictures, codes, broken)

    @contextmanager
    def profiled(self) -> Iterator[list[FrameTimes]]:
        """The times of each frame that is submitted and collected inside, one at a time. Raises
        UsageError with frames in flight."""
        self._check_idle()
        clock = self._lanes.clock = FrameClock(self._visit.device)
        try:
            yield clock.frames
        finally:
            self._lanes.clock = None

    def _send(self, faces: Sequence[Any], parity: int) -> None:
        """Pinned memory is free to be written: whoever had it two frames ago has been collected."""
        stream = self._lanes.begin(AHEAD)
        sources = [self._source(face, row, parity, stream) for row, face in enumerate(faces)]
        with self._lanes.timed(stream, H2D):
            for source, raw in zip(sources, self._device.raw, strict=False):
                source.copy_to(raw, stream=stream)

    def _source(self, face: Any, row: int, parity: int, stream: Stream) -> Buffer:
        """What is to be copied into the row's place."""
        if isinstance(face, np.ndarray):
            buffer, pinned = self._device.sent[parity][row]
            pinned[:] = face
            return buffer
        device = self._visit.device
        given = device_array(f"face {row}", face, int(stream.handle), device.device_id)
        check_device_face(given, row, self._size)
        if given.stream is not None:
            stream.wait(join_stream(device, given.stream))
        from cuda.core import Buffer

        return Buffer.from_handle(given.address, given.size_bytes, owner=face)


def check_device_face(given: DeviceArray, row: int, size: int) -> None:
    """Raises UsageError unless a device array is an RGB picture of the network's size."""
    if given.dtype != np.uint8 or given.shape != (size, size, 3):
        raise UsageError(f"face {row} must be RGB uint8 of shape ({size}, {size}, 3), not {given}")
