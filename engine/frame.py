"""The work of one frame on fixed buffers: the list of its operations, bound once and run."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.buffers import Array, BufferTable
from keeprt.engine.bundle import Bundle
from keeprt.engine.cpu_device import Backend, CpuDevice, Run
from keeprt.engine.frame_graph import FrameGraph
from keeprt.engine.operations import Operation
from keeprt.engine.pixels import Picture, check_face
from keeprt.engine.plan import Plan, open_plan, serial_plan
from keeprt.engine.state import FaceState
from keeprt.engine.video_graph import VideoGraph, placement_bytes
from keeprt.kernels.frame import FrameFormat

KEPT_LISTS = 64  # bound lists; a face that begins goes through `window` of them


class Frame:
    """Runs lists of operations, each bound at its first use and kept."""

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
            FrameGraph(bundle, self.table, window)
            if video is None
            else VideoGraph(bundle, self.table, window, video, faces)
        )
        self._eager = eager
        self.device = CpuDevice(self._plan(faces, window, chunk), self.table.specs, backend)
        self._lists: dict[object, list[tuple[str | None, Run]]] = {}

    def new_state(self) -> FaceState:
        """The state of a face before its first frame."""
        return FaceState.new(self.bundle, self._window)

    def placed(self, states: Sequence[FaceState]) -> list[FaceState]:
        """The same states in host memory; those of a card are copied."""
        return [s if isinstance(s.arrays, dict) else s.snapshot() for s in states]

    def check(self, face: Picture) -> None:
        """Raises UsageError for what is no face."""
        check_face(face, self.bundle.face_size)

    def restore(
        self, windows: Sequence[int], faces: Sequence[Picture], states: Sequence[FaceState]
    ) -> list[Picture]:
        """One frame of stream mode; `windows` as `FrameGraph.stream` has them."""
        self.set_outside(states, faces)
        key = tuple(windows)
        self.run(key, lambda: self.graph.stream(key))
        return self.results(len(faces))

    def restore_video(
        self,
        windows: Sequence[int],
        frame: Array,
        placements: Array,
        states: Sequence[FaceState],
    ) -> Array:
        """One whole frame, uint8 (bytes,), with a placement for each face; a new array."""
        self.set_outside(states)
        restored = np.empty_like(frame)
        outside: dict[str, Sequence[Array]] = self.device.outside
        outside |= {"video": [frame], "placements": [placement_bytes(placements)]}
        outside["result"] = [restored]
        key = tuple(windows)
        self.run(key, lambda: self.graph.stream(key))
        return restored

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

    def _plan(self, faces: int, window: int, chunk: int) -> Plan:
        graph = self.graph
        cycle = [graph.stream([window] * faces)]
        if chunk:
            gains = [graph.chunk_gains(chunk, 1)] if self.bundle.has_kalman else []
            cycle = [graph.observe(), *gains, graph.chunk_frame(True)]
        plan = serial_plan(cycle, self.table.specs)
        return open_plan(plan) if self._eager else plan
