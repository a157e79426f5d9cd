"""The work of one frame on fixed buffers: the list of its operations, bound once and run."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.devices.cpu.device import Backend, CpuDevice, Run
from keeprt.engine.errors import UsageError
from keeprt.engine.frame.buffers import Array, BufferTable
from keeprt.engine.frame.done import Done, broken_rows
from keeprt.engine.frame.face_list import FaceList
from keeprt.engine.frame.layout import Layout, open_layout, serial_layout
from keeprt.engine.frame.operations import Operation
from keeprt.engine.frame.pixels import Picture, check_face
from keeprt.engine.frame.times import FrameTimes
from keeprt.engine.frame.video_list import VideoList, placement_bytes
from keeprt.engine.state import FaceState
from keeprt.kernels.frame import FrameFormat

IN_FLIGHT = 2
KEPT_LISTS = 64  # bound lists; a face that begins goes through `window` of them


class CpuFrames:
    """Runs lists of operations, each bound at its first use and kept."""

    card = None
    overlaps = False
    prepared = 0  # nothing is captured on the host

    def __init__(
        self,
        bundle: Bundle,
        backend: Backend,
        *,
        faces: int,
        window: int,
        chunk: int = 0,
        eager: bool = False,
        video: FrameFormat | None = None,
    ) -> None:
        """Allocates for at most so many faces, or for chunks of `chunk` frames of one face, or for
        whole frames of a format.

        `eager` synchronises after each operation, to find out which one fails, and lets no two
        buffers share memory, so that `peek` shows every one of them after a frame.
        """
        self.bundle, self._window = bundle, window
        self.stage_seconds: defaultdict[str, float] = defaultdict(float)
        frames, selected = (chunk + 1, chunk) if chunk else (window, 1)
        self.table = BufferTable(bundle, faces=faces, frames=frames, selected=selected)
        self.graph = (
            FaceList(bundle, self.table, window)
            if video is None
            else VideoList(bundle, self.table, window, video, faces)
        )
        self._eager = eager
        self.device = CpuDevice(self._layout(faces, window, chunk), self.table.specs, backend)
        self._lists: dict[object, list[tuple[str | None, Run]]] = {}
        self._done: deque[Done] = deque()

    def new_state(self) -> FaceState:
        """The state of a face before its first frame."""
        return FaceState.new(self.bundle, self._window)

    def placed(self, states: Sequence[FaceState]) -> list[FaceState]:
        """The same states in host memory; those of a card are copied."""
        return [s if isinstance(s.arrays, dict) else s.snapshot() for s in states]

    def check(self, face: Picture) -> None:
        """Raises UsageError for what is no face."""
        check_face(face, self.bundle.face_size)

    def slot(self, state: FaceState) -> int:
        """States in host memory have no order."""
        return 0

    def warm_up(self) -> float:
        """Nothing is compiled for the host."""
        return 0.0

    def profiled(self) -> AbstractContextManager[list[FrameTimes]]:
        """Raises UsageError: `stage_seconds` says all of it on the host."""
        raise UsageError("frames in host memory have no times on a card: read stage_seconds")

    def submit(self, faces: Sequence[Picture], states: Sequence[FaceState]) -> None:
        """One frame of stream mode, rows as `FaceList.stream` has them; done on return."""
        self._check_in_flight()
        self.set_outside(states, faces)
        self._run_stream(states)
        self._keep(self.results(len(faces)), len(faces))

    def submit_video(self, frame: Array, placements: Array, states: Sequence[FaceState]) -> None:
        """One whole frame, uint8 (bytes,), with a placement for each face; done on return."""
        self._check_in_flight()
        self.set_outside(states)
        restored = np.empty_like(frame)
        outside: dict[str, Sequence[Array]] = self.device.outside
        outside |= {"video": [frame], "placements": [placement_bytes(placements)]}
        outside["result"] = [restored]
        self._run_stream(states)
        self._keep(restored, len(states))

    def collect(self) -> Done:
        """The oldest frame that was submitted. Raises UsageError."""
        if not self._done:
            raise UsageError("no frame is in flight: submit() one first")
        return self._done.popleft()

    def _check_in_flight(self) -> None:
        """As on a card, where a third frame would have no memory."""
        if len(self._done) == IN_FLIGHT:
            raise UsageError(f"{IN_FLIGHT} frames are in flight: collect() one first")

    def _run_stream(self, states: Sequence[FaceState]) -> None:
        key = tuple(state.seen for state in states)
        self.run(key, lambda: self.graph.stream(key))

    def _keep(self, restored: object, faces: int) -> None:
        broken = broken_rows(self.peek("margin", faces))
        self._done.append(Done(restored, self.codes(faces).copy(), broken))

    def set_outside(self, states: Sequence[FaceState], faces: Sequence[Picture] = ()) -> None:
        """The caller's arrays that the next list reads and writes."""
        outside: dict[str, Sequence[Array]] = self.device.outside
        outside["picture"] = faces
        outside["result"] = [np.empty(0, np.uint8)] * max(len(states), 1)
        for name in states[0].arrays if states else ():
            outside[f"state.{name}"] = [state.arrays[name] for state in states]

    def results(self, faces: int) -> list[Picture]:
        """The pictures of the list that ran last; they are the caller's from here on."""
        return list(self.device.outside.pop("result")[:faces])

    def run(self, key: object, operations: Callable[[], Sequence[Operation]]) -> None:
        """Runs the list known by `key`, made by `operations` at its first use."""
        bound = self._lists.get(key)
        if bound is None:
            bound = [(op.stage, self.device.bind(op, 0)) for op in operations()]
            if len(self._lists) >= KEPT_LISTS:
                self._lists.pop(next(iter(self._lists)))
            self._lists[key] = bound
        for stage, step in bound:
            start = time.perf_counter()
            step()
            if self._eager:
                self.device.synchronise()
            if stage:
                self.stage_seconds[stage] += time.perf_counter() - start

    def peek(self, name: str, faces: int) -> Array:
        """The first rows of a buffer, a view; its content is the last frame's only when eager."""
        return self.device.array(self.table.rows(name, 0, faces))

    def codes(self, faces: int) -> NDArray[np.int64]:
        """Codebook indices (faces, tokens) of the last frame, a view."""
        codes: NDArray[np.int64] = self.peek("codes", faces)
        return codes

    def close(self) -> None:
        """Lets the sessions and the arena go, which the bound operations hold."""
        self._lists.clear()
        self._done.clear()
        self.device.close()

    def _layout(self, faces: int, window: int, chunk: int) -> Layout:
        graph = self.graph
        cycle = [graph.stream([window] * faces)]
        if chunk:
            gains = [graph.chunk_gains(chunk, 1)] if self.bundle.has_kalman else []
            cycle = [graph.observe(), *gains, graph.chunk_frame(True)]
        layout = serial_layout(cycle, self.table.specs)
        return open_layout(layout) if self._eager else layout
