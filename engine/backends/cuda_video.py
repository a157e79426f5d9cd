"""Whole video frames on the card: its only transfers are the frame in and the frame out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keeprt.engine.backends.cuda_device import CudaDevice, Engines, Enqueue
from keeprt.engine.backends.cuda_guest import join_stream, one_line
from keeprt.engine.backends.cuda_memory import CudaMemory
from keeprt.engine.backends.cuda_runner import CudaRunner
from keeprt.engine.backends.cuda_states import SLOTS_PER_FACE, slot_of
from keeprt.engine.backends.device_arrays import DeviceArray, device_array
from keeprt.engine.buffers import Array, BufferSpec
from keeprt.engine.bundle import Bundle
from keeprt.engine.errors import UsageError
from keeprt.engine.lanes import AHEAD
from keeprt.engine.operations import Copy, Crop, Outside, Paste, View, Work
from keeprt.engine.state import FaceState
from keeprt.engine.video_graph import (
    VideoGraph,
    frame_bytes,
    placement_bytes,
    plane_starts,
    planes_in,
)
from keeprt.kernels import launch
from keeprt.kernels.frame import FrameFormat
from keeprt.kernels.placement import PLACEMENT_DTYPE

if TYPE_CHECKING:
    from cuda.core import Buffer, Kernel


class VideoDevice(CudaDevice):
    """Crop and paste by kernels of ours; frames by pinned memory, or where the caller has them."""

    def __init__(
        self,
        memory: CudaMemory,
        engines: Engines,
        kernels: dict[str, Kernel],
        specs: Mapping[str, BufferSpec],
        bundle: Bundle,
        faces: int,
    ) -> None:
        """Takes pinned memory for two frames and their placements."""
        super().__init__(memory, engines, kernels, specs, bundle, faces)
        frame, record = specs["frame"].size_bytes, PLACEMENT_DTYPE.itemsize
        self.pinned = [memory.pinned((frame,), np.uint8) for _ in range(2)]
        self.placements = [memory.pinned((faces, record), np.uint8) for _ in range(2)]
        #: Where an even and an odd frame come from and go to.
        self.frames: list[Buffer] = [buffer for buffer, _ in self.pinned]

    def _bound(self, work: Work, index: int, slots: Sequence[int]) -> Enqueue | None:
        parity = index % 2
        match work:
            case Copy(Outside("video"), View() as target):
                inside = self._inside(target, index)
                return lambda queue: self._copy(self.frames[parity], inside)(queue)
            case Copy(View() as source, Outside("result")):
                inside = self._inside(source, index)
                return lambda queue: self._copy(inside, self.frames[parity])(queue)
            case Copy(Outside("placements"), View() as target):
                given = self._memory.pinned_part(self.placements[parity], len(slots))
                return self._copy(given, self._inside(target, index))
            case _:
                return super()._bound(work, index, slots)

    def _of_pictures(self, work: Work, index: int) -> Enqueue:
        match work:
            case Crop():
                return self._crop(work, index)
            case Paste():
                return self._paste(work, index)
            case _:
                return super()._of_pictures(work, index)

    def _crop(self, work: Crop, index: int) -> Enqueue:
        faces, _, _, size = work.faces.shape
        return self._submit(
            launch.crop_align(
                self._planes(work, index),
                work.format,
                self._record(work.format),
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
                self._record(work.format),
                self._memory.view(work.placement, index).address,
                self._memory.view(work.face, index).address,
                work.face.shape[-1],
                self._half(work.face),
            )
        )

    def _planes(self, work: Crop | Paste, index: int) -> tuple[int, ...]:
        start = self._memory.view(work.frame, index).address
        return tuple(start + plane for plane in plane_starts(work.format))

    def _record(self, format: FrameFormat) -> int:
        record = self._memory.constant(np.atleast_1d(format.record()).view(np.uint8))
        return int(record.handle)

    def _inside(self, view: View, index: int) -> Buffer:
        return self._memory.buffer(self._memory.view(view, index))


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
        eager: bool = False,
        **how: Any,
    ) -> None:
        """`how` as `CudaRunner` takes it; raises as that does."""
        super().__init__(
            bundle,
            engines,
            lambda table: VideoGraph(bundle, table, window, format, faces),
            VideoDevice,
            faces=faces,
            window=window,
            slots=SLOTS_PER_FACE * faces,
            eager=eager,
            # Where the caller's frames lie changes from one to the next: not to be captured.
            live=("upload", "download"),
            **how,
        )
        self.format, self._window, self._eager = format, window, eager

    def new_state(self) -> FaceState:
        """The state of a face before its first frame; it takes a slot with the first."""
        return self.states.new(self.bundle, self._window)

    def placed(self, states: Sequence[FaceState]) -> list[FaceState]:
        """Handles to the same states on this card."""
        return self.states.placed(states)

    def restore_video(
        self, windows: Sequence[int], frame: Any, placements: Array, states: Sequence[FaceState]
    ) -> Any:
        """One frame from start to end, with states that `placed` gave; see `submit`."""
        start = time.perf_counter()
        self.submit(windows, [slot_of(state) for state in states], frame, placements)
        restored = self.collect()
        if not self._eager:
            self.stage_seconds["card"] += time.perf_counter() - start
        return restored

    def submit(
        self, windows: Sequence[int], slots: Sequence[int], frame: Any, placements: Array
    ) -> None:
        """Starts a frame whose faces' states lie in `slots`, longest window first.

        `frame` is uint8 (bytes,) on the host, or a device array, which is changed in place and is
        the card's until the frame is collected. Raises UsageError where two are in flight.
        """
        parity = self._next()
        with one_line("the frame failed on the card"):
            self._device.frames[parity] = self._given(frame, parity)
            _, pinned = self._device.placements[parity]
            pinned[: len(slots)] = placement_bytes(placements)
            self._submit(windows, slots, parity, (frame, len(slots)))

    def collect(self) -> Any:
        """Waits for the oldest frame in flight; gives a new array, or the caller's device array."""
        (frame, _), parity = self._wait(lambda kept: int(kept[1]))
        if isinstance(frame, np.ndarray):
            _, pinned = self._device.pinned[parity]
            return pinned.copy()
        return frame

    def _given(self, frame: Any, parity: int) -> Buffer:
        """Pinned memory filled with the frame, or where the frame is on the card."""
        stream = self._lanes.begin(AHEAD)
        if isinstance(frame, np.ndarray):
            planes_in(frame, self.format)  # refuses other shapes
            buffer, pinned = self._device.pinned[parity]
            pinned[:] = frame
            return buffer
        given = device_array("the frame", frame, int(stream.handle))
        check_device_frame(given, self.format)
        if given.stream is not None:
            stream.wait(join_stream(self._card, given.stream))
        from cuda.core import Buffer

        return Buffer.from_handle(given.address, given.size_bytes, owner=frame)


def check_device_frame(given: DeviceArray, format: FrameFormat) -> None:
    """Raises UsageError unless a device array is as long as a frame of the format."""
    if given.size_bytes != frame_bytes(format):
        raise UsageError(
            f"the frame is {given}; {format.pixel_format} at {format.width}x{format.height} has "
            f"{frame_bytes(format)} bytes"
        )
