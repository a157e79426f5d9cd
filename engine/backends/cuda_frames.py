"""Stream mode on the card: a frame is at most three graph launches and the waits between them.

A kind of frame runs once operation by operation, then each lane's share of it is captured and
replayed. Two frames may be in flight: the second one's share of what does not wait for the first
one's face runs beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keeprt.engine.backends.cuda_device import Engines
from keeprt.engine.backends.cuda_guest import join_stream, one_line
from keeprt.engine.backends.cuda_pictures import PictureDevice
from keeprt.engine.backends.cuda_runner import CudaRunner
from keeprt.engine.backends.device_arrays import BoundArray, DeviceArray, device_array
from keeprt.engine.bundle import Bundle
from keeprt.engine.errors import UsageError
from keeprt.engine.frame_graph import FrameGraph
from keeprt.engine.lanes import AHEAD
from keeprt.engine.pixels import Picture, check_face, quantise

if TYPE_CHECKING:
    from cuda.core import Buffer, Stream


class CudaFrames(CudaRunner[PictureDevice]):
    """Restores frames of faces whose states stay on the card, one slot each."""

    def __init__(
        self, bundle: Bundle, engines: Engines, *, faces: int, window: int, **how: Any
    ) -> None:
        """`how` as `CudaRunner` takes it; raises as that does."""
        super().__init__(
            bundle,
            engines,
            lambda table: FrameGraph(bundle, table, window),
            PictureDevice,
            faces=faces,
            window=window,
            **how,
        )
        self._bound: dict[int, BoundArray] = {}

    def restore(
        self, windows: Sequence[int], slots: Sequence[int], faces: Sequence[Any]
    ) -> list[Picture]:
        """One frame, from pictures to pictures; see `submit`."""
        self.submit(windows, slots, faces)
        return self.collect()

    def submit(self, windows: Sequence[int], slots: Sequence[int], faces: Sequence[Any]) -> None:
        """Starts a frame of faces whose states lie in `slots`, longest window first.

        `faces` are RGB uint8 (S, S, 3), on the host or as device arrays. Raises UsageError where
        two frames are already in flight.
        """
        parity = self._next()
        with one_line("the frame failed on the card"):
            self._send(faces, parity)
            self._submit(windows, slots, parity, faces)

    def bind_face(self, row: int, array: object) -> None:
        """Lets a row's pictures be read in place, from a device array that stays where it is.

        `submit` then takes that array alone for the row. Raises UsageError for another shape or
        type, and once frames have been submitted.
        """
        if self._submitted:
            raise UsageError(f"face {row} cannot be bound: frames have been submitted already")
        given = device_array(f"face {row}", array, int(self._stream.handle))
        check_device_face(given, row, self.bundle.face_size)
        from cuda.core import Buffer

        self._device.raw[row] = Buffer.from_handle(given.address, given.size_bytes, owner=array)
        self._bound[row] = BoundArray(f"face {row}", given)

    def collect(self) -> list[Picture]:
        """Waits for the oldest frame in flight and gives its pictures. Raises UsageError."""
        faces, parity = self._wait(len)
        results = self._device.results[parity][: len(faces)]
        return [quantise(array, np.empty_like(array)) for _, array in results]

    def _send(self, faces: Sequence[Any], parity: int) -> None:
        """Pinned memory is free to be written: whoever had it two frames ago has been collected."""
        stream = self._lanes.begin(AHEAD)
        for row, face in enumerate(faces):
            source = self._source(face, row, parity, stream)
            if source is not None:
                source.copy_to(self._device.raw[row], stream=stream)

    def _source(self, face: Any, row: int, parity: int, stream: Stream) -> Buffer | None:
        """What is to be copied into the row's place; None where the picture is there already."""
        size = self.bundle.face_size
        if isinstance(face, np.ndarray) and row not in self._bound:
            check_face(face, size)
            buffer, pinned = self._device.sent[parity][row]
            pinned[:] = face
            return buffer
        given = device_array(f"face {row}", face, int(stream.handle))
        check_device_face(given, row, size)
        if given.stream is not None:
            stream.wait(join_stream(self._card, given.stream))
        if row in self._bound:
            self._bound[row].check(given)
            return None
        from cuda.core import Buffer

        return Buffer.from_handle(given.address, given.size_bytes, owner=face)


def check_device_face(given: DeviceArray, row: int, size: int) -> None:
    """Raises UsageError unless a device array is an RGB picture of the network's size."""
    if given.dtype != np.uint8 or given.shape != (size, size, 3):
        raise UsageError(f"face {row} must be RGB uint8 of shape ({size}, {size}, 3), not {given}")
