"""Whole video frames on the card: its only transfers are the frame in and the frame out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.devices.cuda.arrays import DeviceArray, device_array
from keeprt.engine.devices.cuda.device import CudaDevice, Equipment
from keeprt.engine.devices.cuda.engines import Engines
from keeprt.engine.devices.cuda.guest import join_stream, one_line
from keeprt.engine.devices.cuda.lanes import Enqueue
from keeprt.engine.devices.cuda.planes import CardPlanes, TightCopy
from keeprt.engine.devices.cuda.runner import CudaRunner
from keeprt.engine.devices.cuda.states import slot_of
from keeprt.engine.errors import UsageError
from keeprt.engine.frame.buffers import Array
from keeprt.engine.frame.done import Done
from keeprt.engine.frame.lanes import AHEAD
from keeprt.engine.frame.operations import Copy, Crop, Outside, Paste, View, Work
from keeprt.engine.frame.video_list import (
    VideoList,
    frame_bytes,
    placement_bytes,
    plane_starts,
    planes_in,
)
from keeprt.engine.state import FaceState
from keeprt.kernels import launch
from keeprt.kernels.frame import FrameFormat
from keeprt.kernels.placement import PLACEMENT_DTYPE, no_face

if TYPE_CHECKING:
    from cuda.core import Buffer, Stream


class VideoDevice(CudaDevice):
    """Crop and paste by kernels of ours; frames by pinned memory, or where the caller has them."""

    def __init__(self, given: Equipment) -> None:
        """Takes pinned memory for two frames and their placements."""
        super().__init__(given)
        memory, frame = given.memory, given.specs["frame"].size_bytes
        records = (given.faces, PLACEMENT_DTYPE.itemsize)
        self.pinned = [memory.pinned((frame,), np.uint8) for _ in range(2)]
        self.placements = [memory.pinned(records, np.uint8) for _ in range(2)]
        #: Where an even and an odd frame come from, and go to.
        self.sources: list[Buffer | TightCopy] = [buffer for buffer, _ in self.pinned]
        self.targets: list[Buffer] = [buffer for buffer, _ in self.pinned]

    def _bound(self, work: Work, index: int, faces: int) -> Enqueue | None:
        parity, sources, targets = index % 2, self.sources, self.targets
        match work:
            case Copy(Outside("video"), View() as target):
                inside = self._memory.inside(target, index)
                return lambda stream, slots: sources[parity].copy_to(inside, stream=stream)
            case Copy(View() as source, Outside("result")):
                inside = self._memory.inside(source, index)
                return lambda stream, slots: inside.copy_to(targets[parity], stream=stream)
            case Copy(Outside("placements"), View() as target):
                given = self._memory.pinned_part(self.placements[parity], faces)
                return self._copy(given, self._memory.inside(target, index))
            case Crop():
                return self._crop(work, index)
            case Paste():
                return self._paste(work, index)
            case _:
                return super()._bound(work, index, faces)

    def _crop(self, work: Crop, index: int) -> Enqueue:
        faces, _, _, size = work.faces.shape
        return self._submit(
            launch.crop_align(
                self._planes(work, index),
                work.format,
                self._memory.view(work.placements, index).address,
                self._memory.view(work.faces, index).address,
                faces,
                size,
                self._half(work.faces),
            )
        )

    def _paste(self, work: Paste, index: int) -> Enqueue:
        return self._submit(
            launch.paste_back(
                self._planes(work, index),
                work.format,
                self._memory.view(work.placement, index).address,
                self._memory.view(work.restored, index).address,
                self._memory.view(work.crop, index).address,
                work.crop.shape[-1],
                self._half(work.crop),
            )
        )

    def _planes(self, work: Crop | Paste, index: int) -> tuple[int, ...]:
        start = self._memory.view(work.frame, index).address
        return tuple(start + plane for plane in plane_starts(work.format))


class CardVideo(CudaRunner[VideoDevice]):
    """Whole frames of one format; two may be in flight."""

    def __init__(
        self,
        bundle: Bundle,
        engines: Engines,
        format: FrameFormat,
        *,
        faces: int,
        window: int,
        **how: Any,
    ) -> None:
        """`how` as `CudaRunner` takes it; raises as that does."""
        super().__init__(
            bundle,
            engines,
            lambda table: VideoList(bundle, table, window, format, faces),
            VideoDevice,
            faces=faces,
            window=window,
            **how,
        )
        self.format = format

    def warm_up(self) -> float:
        """As `CudaRunner.warm_up`, with frames that have no faces in them."""
        self._check_idle()
        empty = placement_bytes(np.stack([no_face()] * self._faces))
        for parity, (_, pinned) in enumerate(self._device.placements):
            pinned[:] = empty
            buffer, _ = self._device.pinned[parity]
            self._device.sources[parity] = self._device.targets[parity] = buffer
        return super().warm_up()

    def submit_video(self, frame: Any, placements: Array, states: Sequence[FaceState]) -> None:
        """Starts a frame with a placement for each face, in rows, longest window first.

        `frame` is uint8 (bytes,) on the host, or a device array, which is changed in place and is
        the card's until the frame is collected, or `CardPlanes`, which are read alone and held
        until then. `states` are those that `placed` gave. Raises UsageError where two frames are
        in flight.
        """
        start, parity = time.perf_counter(), self._next()
        with self._visit, one_line("the frame failed on the card"):
            device = self._device
            device.sources[parity], device.targets[parity] = self._given(frame, parity)
            _, pinned = self._device.placements[parity]
            pinned[: len(states)] = placement_bytes(placements)
            windows, slots = [s.seen for s in states], [slot_of(s) for s in states]
            self._submit(windows, slots, parity, frame)
        self._count(start)

    def collect(self) -> Done:
        """Waits for the oldest frame in flight; gives a new array on the host, or the caller's
        device array."""
        start = time.perf_counter()
        with self._visit:
            frame, parity, codes, broken = self._wait()
        buffer, pinned = self._device.pinned[parity]
        if self._device.targets[parity] is buffer:
            frame = pinned.copy()
        self._count(start)
        return Done(frame, codes, broken)

    def _given(self, frame: Any, parity: int) -> tuple[Buffer | TightCopy, Buffer]:
        """Where the frame comes from, and goes to: pinned memory or the caller's on the card."""
        stream, device = self._lanes.begin(AHEAD), self._visit.device
        buffer, pinned = self._device.pinned[parity]
        if isinstance(frame, np.ndarray):
            planes_in(frame, self.format)  # refuses other shapes
            pinned[:] = frame
            return buffer, buffer
        if isinstance(frame, CardPlanes):
            tight = TightCopy(frame, self.format, device.device_id)
            stream.wait(join_stream(device, frame.stream))
            return tight, buffer
        there = self._in_place(frame, stream)
        return there, there

    def _in_place(self, frame: Any, stream: Stream) -> Buffer:
        """A device array, whose producer the stream waits for."""
        device = self._visit.device
        given = device_array("the frame", frame, int(stream.handle), device.device_id)
        check_device_frame(given, self.format)
        if given.stream is not None:
            stream.wait(join_stream(device, given.stream))
        from cuda.core import Buffer

        return Buffer.from_handle(given.address, given.size_bytes, owner=frame)


def check_device_frame(given: DeviceArray, format: FrameFormat) -> None:
    """Raises UsageError unless a device array is as long as a frame of the format."""
    if given.size_bytes != frame_bytes(format):
        raise UsageError(
            f"the frame is {given}; {format.pixel_format} at {format.width}x{format.height} has "
            f"{frame_bytes(format)} bytes"
        )
