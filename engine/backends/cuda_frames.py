"""Stream mode on the card: a frame is at most three graph launches and the waits between them.

A kind of frame runs once operation by operation, then each lane's share of it is captured and
replayed. Two frames may be in flight: the second one's share of what does not wait for the first
one's face runs beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.backends.cuda_device import CudaDevice, Engines, Staging
from keeprt.engine.backends.cuda_guest import join_card, join_stream, one_line
from keeprt.engine.backends.cuda_lanes import CudaLanes
from keeprt.engine.backends.cuda_memory import CudaMemory
from keeprt.engine.backends.cuda_states import CudaStates
from keeprt.engine.backends.device_arrays import BoundArray, DeviceArray, device_array
from keeprt.engine.buffers import BufferTable
from keeprt.engine.bundle import Bundle
from keeprt.engine.errors import UsageError
from keeprt.engine.frame_graph import FrameGraph
from keeprt.engine.lanes import AHEAD, lane_of
from keeprt.engine.operations import Infer, Operation
from keeprt.engine.pixels import Picture, check_face, quantise
from keeprt.engine.plan import Plan, overlapped_plan
from keeprt.engine.state import state_shapes
from keeprt.kernels.loader import load_kernels

if TYPE_CHECKING:
    from cuda.core import Buffer, Event, Stream

IN_FLIGHT = 2


class CudaFrames:
    """Restores frames of faces whose states stay on the card, one slot each."""

    def __init__(
        self,
        bundle: Bundle,
        engines: Engines,
        *,
        faces: int,
        window: int,
        slots: int | None = None,
        device_id: int = 0,
        stream: object | None = None,
        eager: bool = False,
    ) -> None:
        """Takes all memory, for so many faces a frame and `slots` states (as many if None).

        `stream` is the caller's: frames wait for it and it for them. Raises BackendError without a
        driver, a GPU, the wheels or enough memory.
        """
        self.bundle = bundle
        card = self._card = join_card(device_id)
        table = BufferTable(bundle, faces=faces, frames=window, selected=1)
        self._graph = FrameGraph(bundle, table, window)
        steady = self._graph.stream([window] * faces)
        plan = overlapped_plan(steady, table.specs)
        self._lanes = CudaLanes(card, plan, stream=stream, eager=eager, captures=engines.captures)
        engines.join(stream_of_subgraphs(steady, plan, self._lanes))
        shapes, slots, first = state_shapes(bundle, window), slots or faces, self._stream
        self._memory = CudaMemory(card, first, plan, table.specs, shapes, slots)
        tokens = bundle.subgraphs["decoder"].output("codes").sized(faces=1)[1]
        self._staging = Staging(self._memory, bundle.face_size, faces, tokens)
        self.states = CudaStates(self._memory, shapes, slots, first, self._lanes.synchronise)
        self._device = CudaDevice(
            self._memory,
            self._staging,
            engines,
            load_kernels(device_id),
            table.specs,
            bundle.subgraphs,
        )
        self._bound: dict[int, BoundArray] = {}
        self._submitted = self._collected = 0
        self._waited: dict[int, tuple[Sequence[Any], Event]] = {}
        self._codes: NDArray[np.int64] = np.empty((0, tokens), np.int64)
        first.sync()

    @property
    def stage_seconds(self) -> dict[str, float]:
        """Seconds in each stage, where frames are eager; nothing else can tell them apart."""
        return self._lanes.stage_seconds

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
        if self._submitted - self._collected == IN_FLIGHT:
            raise UsageError(f"{IN_FLIGHT} frames are in flight: collect() one first")
        index = self._submitted
        parity = index % IN_FLIGHT
        kind = (tuple(windows), tuple(slots), parity)
        with one_line("the frame failed on the card"):
            self._send(faces, parity)
            last = self._lanes.submit(
                kind,
                parity,
                lambda: self._graph.stream(windows),
                lambda operation: self._device.bind(operation, parity, slots),
            )
        self._waited[index] = (faces, last)  # a picture on the card must live until it is read
        self._submitted += 1

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

        self._staging.raw[row] = Buffer.from_handle(given.address, given.size_bytes, owner=array)
        self._bound[row] = BoundArray(f"face {row}", given)

    def collect(self) -> list[Picture]:
        """Waits for the oldest frame in flight and gives its pictures. Raises UsageError."""
        if self._submitted == self._collected:
            raise UsageError("no frame is in flight: submit() one first")
        faces, last = self._waited.pop(self._collected)
        with one_line("the frame failed on the card"):
            last.sync()
        parity = self._collected % IN_FLIGHT
        results = self._staging.results[parity][: len(faces)]
        self._codes = self._staging.codes[parity][1][: len(faces)].copy()
        self._collected += 1
        return [quantise(array, np.empty_like(array)) for _, array in results]

    def codes(self) -> NDArray[np.int64]:
        """Codebook indices (faces, tokens) of the frame collected last."""
        return self._codes

    def synchronise(self) -> None:
        """Waits for everything submitted."""
        self._lanes.synchronise()

    @property
    def _stream(self) -> Stream:
        return self._lanes.streams[AHEAD]

    def _send(self, faces: Sequence[Any], parity: int) -> None:
        """Pinned memory is free to be written: whoever had it two frames ago has been collected."""
        stream = self._lanes.begin(AHEAD)
        for row, face in enumerate(faces):
            source = self._source(face, row, parity, stream)
            if source is not None:
                source.copy_to(self._staging.raw[row], stream=stream)

    def _source(self, face: Any, row: int, parity: int, stream: Stream) -> Buffer | None:
        """What is to be copied into the row's place; None where the picture is there already."""
        size = self.bundle.face_size
        if isinstance(face, np.ndarray) and row not in self._bound:
            check_face(face, size)
            buffer, pinned = self._staging.sent[parity][row]
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


def stream_of_subgraphs(frame: Sequence[Operation], plan: Plan, lanes: CudaLanes) -> dict[str, int]:
    """The CUstream that each subgraph of a frame is put on."""
    return {
        work.subgraph: int(lanes.streams[lane_of(operation.name, plan.lanes)].handle)
        for operation in frame
        for work in operation.work
        if isinstance(work, Infer)
    }


def check_device_face(given: DeviceArray, row: int, size: int) -> None:
    """Raises UsageError unless a device array is an RGB picture of the network's size."""
    if given.dtype != np.uint8 or given.shape != (size, size, 3):
        raise UsageError(f"face {row} must be RGB uint8 of shape ({size}, {size}, 3), not {given}")
