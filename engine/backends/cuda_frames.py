"""Stream mode on the card: a frame is at most three graph launches and the waits between them.

A kind of frame runs once operation by operation, then each lane's share of it is captured and
replayed. Two frames may be in flight: the second one's share of what does not wait for the first
one's face runs beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keeprt.engine.backends.cuda_device import CudaDevice, Engines, Enqueue, Staging
from keeprt.engine.backends.cuda_guest import join_card, join_stream, one_line
from keeprt.engine.backends.cuda_memory import CudaMemory
from keeprt.engine.backends.device_arrays import BoundArray, DeviceArray, device_array
from keeprt.engine.buffers import Array, BufferTable
from keeprt.engine.bundle import Bundle
from keeprt.engine.errors import StateError, UsageError
from keeprt.engine.frame_graph import FrameGraph
from keeprt.engine.lanes import AHEAD, LANES
from keeprt.engine.operations import Outside
from keeprt.engine.pixels import Picture, check_face, quantise
from keeprt.engine.plan import overlapped_plan
from keeprt.engine.segments import Segment, segments_of
from keeprt.engine.state import state_shapes
from keeprt.kernels.loader import load_kernels

if TYPE_CHECKING:
    from cuda.core import Buffer, Event, Stream
    from cuda.core.graph import Graph

IN_FLIGHT = 2
EVENTS = 4  # per lane; a wait reaches at most two frames back

Kind = tuple[tuple[int, ...], tuple[int, ...], int]  # windows, slots, parity


@dataclass
class _Share:
    """A lane's part of one kind of frame, bound; captured at its second use."""

    segment: Segment
    steps: list[Enqueue]
    graph: Graph | None = None
    runs: int = 0


class CudaFrames:
    """Restores frames of faces whose states stay on the card, one slot each."""

    def __init__(
        self,
        bundle: Bundle,
        engines: Engines,
        *,
        faces: int,
        window: int,
        device_id: int = 0,
        stream: object | None = None,
        eager: bool = False,
    ) -> None:
        """Takes all memory. `stream` is the caller's: frames wait for it and it for them.

        Raises BackendError without a driver, a GPU, the wheels or enough memory.
        """
        self.bundle, self._eager = bundle, eager
        self._card = join_card(device_id)
        self._caller = None if stream is None else join_stream(self._card, stream)
        self._streams = {lane: join_stream(self._card, None) for lane in LANES}
        self._table = BufferTable(bundle, faces=faces, frames=window, selected=1)
        self._graph = FrameGraph(bundle, self._table, window)
        self._plan = overlapped_plan(self._graph.stream([window] * faces), self._table.specs)
        self._shapes = state_shapes(bundle, window)
        first, specs = self._streams[AHEAD], self._table.specs
        self._memory = CudaMemory(self._card, first, self._plan, specs, self._shapes, faces)
        self._staging = Staging(self._memory, bundle.face_size, faces)
        self._state_staging = {n: self._memory.pinned(s, "f4") for n, s in self._shapes.items()}
        self._device = CudaDevice(
            self._memory, self._staging, engines, load_kernels(device_id), specs, bundle.subgraphs
        )
        self._tracker = self._plan.tracker()
        self._events = {lane: [self._card.create_event() for _ in range(EVENTS)] for lane in LANES}
        self._sent: list[Event] = [self._card.create_event() for _ in range(IN_FLIGHT)]
        self._bound: dict[int, BoundArray] = {}
        self._shares: dict[Kind, list[_Share]] = {}
        self._submitted = self._collected = 0
        self._rows: dict[int, tuple[int, Event]] = {}
        first.sync()

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
        with one_line("the frame failed on the card"):
            self._send(faces, parity)
            kind = (tuple(windows), tuple(slots), parity)
            for share in self._shares.get(kind) or self._bind(kind):
                self._run(share)
        lane = self._plan.lane("download")
        last = self._events[lane][self._tracker.newest(lane).index % EVENTS]
        if self._caller is not None:
            self._caller.wait(last)
        self._rows[index] = (len(faces), last)
        self._submitted += 1

    def bind_face(self, row: int, array: object) -> None:
        """Lets a row's pictures be read in place, from a device array that stays where it is.

        `submit` then takes that array alone for the row. Raises UsageError for another shape or
        type, and once frames have been submitted.
        """
        if self._submitted:
            raise UsageError(f"face {row} cannot be bound: frames have been submitted already")
        given = device_array(f"face {row}", array, int(self._streams[AHEAD].handle))
        check_device_face(given, row, self.bundle.face_size)
        from cuda.core import Buffer

        self._staging.raw[row] = Buffer.from_handle(given.address, given.size_bytes, owner=array)
        self._bound[row] = BoundArray(f"face {row}", given)

    def collect(self) -> list[Picture]:
        """Waits for the oldest frame in flight and gives its pictures. Raises UsageError."""
        if self._submitted == self._collected:
            raise UsageError("no frame is in flight: submit() one first")
        faces, last = self._rows.pop(self._collected)
        with one_line("the frame failed on the card"):
            last.sync()
        results = self._staging.results[self._collected % IN_FLIGHT][:faces]
        self._collected += 1
        return [quantise(array, np.empty_like(array)) for _, array in results]

    def read_state(self, slot: int) -> dict[str, Array]:
        """A face's state as `FaceState.arrays` has it, once all frames are done."""
        self.synchronise()
        return {name: self._exchange(name, slot, None) for name in self._shapes}

    def write_state(self, slot: int, arrays: Mapping[str, Array]) -> None:
        """Puts a state that was read, or loaded from a file, into a slot. Raises StateError."""
        found = {name: array.shape for name, array in arrays.items()}
        if found != self._shapes:
            raise StateError(f"slot {slot} holds arrays {self._shapes}, not {found}")
        self.synchronise()
        for name, array in arrays.items():
            self._exchange(name, slot, array)

    def synchronise(self) -> None:
        """Waits for everything submitted."""
        with one_line("the card failed"):
            for stream in self._streams.values():
                stream.sync()

    def _bind(self, kind: Kind) -> list[_Share]:
        windows, slots, parity = kind
        segments = segments_of(self._graph.stream(windows), self._plan, parity)
        self._shares[kind] = [
            _Share(s, [e for op in s.operations for e in self._device.bind(op, parity, slots)])
            for s in segments
        ]
        return self._shares[kind]

    def _send(self, faces: Sequence[Any], parity: int) -> None:
        stream = self._streams[AHEAD]
        if self._caller is not None:
            stream.wait(self._caller)
        self._sent[parity].sync()
        for row, face in enumerate(faces):
            source = self._source(face, row, parity, stream)
            if source is not None:
                source.copy_to(self._staging.raw[row], stream=stream)
        stream.record(self._sent[parity])

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

    def _run(self, share: _Share) -> None:
        lane = share.segment.lane
        stream = self._streams[lane]
        waits = self._tracker.submit(lane, share.segment.reads, share.segment.writes)
        for node in waits:
            stream.wait(self._events[node.lane][node.index % EVENTS])
        share.runs += 1
        if share.runs == 2 and not self._eager:
            share.graph = capture(stream, share.steps)
        if share.graph is not None:
            share.graph.launch(stream)
        else:
            for step in share.steps:
                step(stream)
                if self._eager:
                    stream.sync()
        stream.record(self._events[lane][self._tracker.newest(lane).index % EVENTS])

    def _exchange(self, name: str, slot: int, array: Array | None) -> Array:
        """Writes one array of a state where one is given; returns a copy of what is there."""
        buffer, pinned = self._state_staging[name]
        stream = self._streams[AHEAD]
        there = self._memory.buffer(self._memory.state(Outside(f"state.{name}"), slot))
        with one_line("the state cannot be copied"):
            if array is not None:
                pinned[:] = array
                buffer.copy_to(there, stream=stream)
            there.copy_to(buffer, stream=stream)
            stream.sync()
        return pinned.copy()


def capture(stream: Stream, steps: Sequence[Enqueue]) -> Graph:
    """The steps as one graph, captured on a stream that they are not run on."""
    builder = stream.create_graph_builder()
    builder.begin_building()
    for step in steps:
        step(builder)
    return builder.end_building().complete()


def check_device_face(given: DeviceArray, row: int, size: int) -> None:
    """Raises UsageError unless a device array is an RGB picture of the network's size."""
    if given.dtype != np.uint8 or given.shape != (size, size, 3):
        raise UsageError(f"face {row} must be RGB uint8 of shape ({size}, {size}, 3), not {given}")
