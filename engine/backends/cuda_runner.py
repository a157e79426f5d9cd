"""What frames of faces and whole video frames have in common on the card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.backends.cuda_device import CudaDevice, Engines
from keeprt.engine.backends.cuda_guest import join_card, one_line
from keeprt.engine.backends.cuda_lanes import CudaLanes
from keeprt.engine.backends.cuda_memory import CudaMemory
from keeprt.engine.backends.cuda_states import CudaStates
from keeprt.engine.border_types import check_types
from keeprt.engine.buffers import BufferTable
from keeprt.engine.bundle import Bundle
from keeprt.engine.errors import UsageError
from keeprt.engine.frame_graph import FrameGraph
from keeprt.engine.lanes import AHEAD, lane_of
from keeprt.engine.operations import Infer, Operation
from keeprt.engine.plan import Plan, overlapped_plan
from keeprt.engine.state import state_shapes
from keeprt.kernels.loader import load_kernels

if TYPE_CHECKING:
    from cuda.core import Event, Stream

IN_FLIGHT = 2

MakeGraph = Callable[[BufferTable], FrameGraph]
D = TypeVar("D", bound=CudaDevice)


class CudaRunner(Generic[D]):
    """Card, lanes, memory and states of one list of operations; two frames may be in flight."""

    def __init__(
        self,
        bundle: Bundle,
        engines: Engines,
        make_graph: MakeGraph,
        device_kind: type[D],
        *,
        faces: int,
        window: int,
        slots: int | None = None,
        device_id: int = 0,
        stream: object | None = None,
        eager: bool = False,
        live: Sequence[str] = (),
    ) -> None:
        """Takes all memory, for so many faces a frame and `slots` states (as many if None).

        `stream` is the caller's: frames wait for it and it for them; `live` as `CudaLanes` has it.
        Raises BackendError without a driver, a GPU, the wheels or enough memory, BundleError for
        borders whose types disagree.
        """
        self.bundle = bundle
        self._card = join_card(device_id)
        self._table = BufferTable(bundle, faces=faces, frames=window, selected=1)
        self._graph = make_graph(self._table)
        steady = self._graph.stream([window] * faces)
        check_types(steady, self._table.specs)
        plan = overlapped_plan(steady, self._table.specs)
        self._lanes = CudaLanes(
            self._card, plan, stream=stream, eager=eager, captures=engines.captures, live=live
        )
        engines.join(_stream_of_subgraphs(steady, plan, self._lanes))
        shapes, slots, first = state_shapes(bundle, window), slots or faces, self._stream
        self._memory = CudaMemory(self._card, first, plan, self._table.specs, shapes, slots)
        self.states = CudaStates(self._memory, shapes, slots, first, self._lanes.synchronise)
        kernels = load_kernels(device_id)
        self._device = device_kind(self._memory, engines, kernels, self._table.specs, bundle, faces)
        self._submitted = self._collected = 0
        self._waited: dict[int, tuple[Any, Event]] = {}
        self._codes: NDArray[np.int64] = np.empty((0, 0), np.int64)
        first.sync()

    @property
    def stage_seconds(self) -> dict[str, float]:
        """Seconds in each stage, where frames are eager; nothing else can tell them apart."""
        return self._lanes.stage_seconds

    def codes(self) -> NDArray[np.int64]:
        """Codebook indices (faces, tokens) of the frame collected last."""
        return self._codes

    def synchronise(self) -> None:
        """Waits for everything submitted."""
        self._lanes.synchronise()

    @property
    def _stream(self) -> Stream:
        return self._lanes.streams[AHEAD]

    def _next(self) -> int:
        """Parity of the frame that may be submitted now. Raises UsageError."""
        if self._submitted - self._collected == IN_FLIGHT:
            raise UsageError(f"{IN_FLIGHT} frames are in flight: collect() one first")
        return self._submitted % IN_FLIGHT

    def _submit(self, windows: Sequence[int], slots: Sequence[int], parity: int, kept: Any) -> None:
        """Puts a frame on the streams; `kept` is what must live until it is collected."""
        kind = (tuple(windows), tuple(slots), parity)
        last = self._lanes.submit(
            kind,
            parity,
            lambda: self._graph.stream(windows),
            lambda operation: self._device.bind(operation, parity, slots),
        )
        self._waited[self._submitted] = (kept, last)
        self._submitted += 1

    def _wait(self, faces: Callable[[Any], int]) -> tuple[Any, int]:
        """What was kept of the oldest frame in flight, once it is done, and its parity."""
        if self._submitted == self._collected:
            raise UsageError("no frame is in flight: submit() one first")
        kept, last = self._waited.pop(self._collected)
        with one_line("the frame failed on the card"):
            last.sync()
        parity = self._collected % IN_FLIGHT
        self._codes = self._device.codes[parity][1][: faces(kept)].copy()
        self._collected += 1
        return kept, parity


def _stream_of_subgraphs(
    frame: Sequence[Operation], plan: Plan, lanes: CudaLanes
) -> dict[str, int]:
    """The CUstream that each subgraph of a frame is put on."""
    return {
        work.subgraph: int(lanes.streams[lane_of(operation.name, plan.lanes)].handle)
        for operation in frame
        for work in operation.work
        if isinstance(work, Infer)
    }
