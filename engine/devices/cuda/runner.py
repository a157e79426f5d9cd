"""What frames of faces and whole video frames have in common on the card."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.devices.cuda.device import CudaDevice, Equipment
from keeprt.engine.devices.cuda.engines import Engines
from keeprt.engine.devices.cuda.guest import one_line, visit_card
from keeprt.engine.devices.cuda.lanes import CudaLanes, Shares, Step
from keeprt.engine.devices.cuda.memory import CudaMemory
from keeprt.engine.devices.cuda.runs import BoundRuns
from keeprt.engine.devices.cuda.states import SLOTS_PER_FACE, CudaStates, slot_of
from keeprt.engine.errors import UsageError
from keeprt.engine.frame.border_types import check_types
from keeprt.engine.frame.buffers import BufferTable
from keeprt.engine.frame.done import broken_rows
from keeprt.engine.frame.face_list import FaceList
from keeprt.engine.frame.lanes import AHEAD, lane_of
from keeprt.engine.frame.layout import Layout, overlapped_layout
from keeprt.engine.frame.operations import Infer, Operation
from keeprt.engine.state import FaceState, state_shapes
from keeprt.kernels.loader import load_kernels

if TYPE_CHECKING:
    from cuda.core import Event

IN_FLIGHT = 2
KEPT_KINDS = 1024  # of frames: what is put on the streams, no memory of the card

MakeGraph = Callable[[BufferTable], FaceList]
D = TypeVar("D", bound=CudaDevice)


class Landed(NamedTuple):
    """A frame that is done: what was kept of it, its parity, and what a `Done` has beside the
    pictures."""

    kept: Any
    parity: int
    codes: NDArray[np.int64]
    broken: tuple[int, ...]


class CudaRunner(Generic[D]):
    """Card, lanes, memory and states of one list of operations; two frames may be in flight.

    Every method makes the card current for as long as it takes and gives the caller's context
    back, so that threads and cards may be mixed; only one thread at a time may be inside.
    """

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
    ) -> None:
        """Takes all memory, for so many faces a frame and `slots` states (twice as many if None).

        `stream` is the caller's: frames wait for it and it for them. Raises BackendError without
        a driver, a GPU, the wheels or enough memory, BundleError for borders whose types disagree.
        """
        self.bundle, self._engines, self._eager = bundle, engines, eager
        self._faces, self._window = faces, window
        slots = slots or SLOTS_PER_FACE * faces
        self._spare = slots  # a slot for the frames of the warm-up
        self._visit = visit_card(device_id)
        self._table = BufferTable(bundle, faces=faces, frames=window, selected=1)
        self._graph = make_graph(self._table)
        steady, specs = self._graph.stream([window] * faces), self._table.specs
        check_types(steady, specs)
        self._layout = overlapped_layout(steady, specs)
        with self._visit as card:
            self._lanes = CudaLanes(card, self._layout, steady, stream=stream, eager=eager)
            engines.join(_stream_of_subgraphs(steady, self._layout, self._lanes))
            shapes, first = state_shapes(bundle, window), self._lanes.streams[AHEAD]
            self._memory = CudaMemory(card, first, self._layout, specs, shapes, slots + 1)
            synchronise = self._lanes.synchronise
            self.states = CudaStates(self._memory, self._visit, shapes, slots, first, synchronise)
            self.runs = BoundRuns(engines, eager, synchronise)
            kernels = load_kernels(device_id)
            self._device = device_kind(
                Equipment(self._memory, self.runs, kernels, specs, bundle, faces)
            )
            first.sync()
        self._kinds: dict[object, Shares] = {}
        self._submitted = self._collected = 0
        self._waited: dict[int, tuple[Any, int, Event]] = {}
        self._closed = False

    @property
    def card(self) -> int | None:
        """The number of the GPU."""
        return int(self._visit.device.device_id)

    @property
    def overlaps(self) -> bool:
        """Whether two frames should be in flight: an eager one waits for itself."""
        return not self._eager

    @property
    def stage_seconds(self) -> dict[str, float]:
        """Seconds by stage of eager frames; else of whole frames, under "card"."""
        return self._lanes.stage_seconds

    @property
    def prepared(self) -> int:
        """Contexts that were made and graphs that were captured so far."""
        return self.runs.prepared

    def new_state(self) -> FaceState:
        """The state of a face before its first frame; it takes a slot with the first."""
        return self.states.new(self.bundle, self._window)

    def placed(self, states: Sequence[FaceState]) -> list[FaceState]:
        """Handles to the same states on this card."""
        self._check_open()
        return self.states.placed(states)

    def slot(self, state: FaceState) -> int:
        """Where a placed state lies."""
        return slot_of(state)

    def synchronise(self) -> None:
        """Waits for everything submitted."""
        with self._visit:
            self._lanes.synchronise()

    def warm_up(self) -> float:
        """Runs every size of a frame on dummies, so that nothing is compiled, bound or captured
        later; gives the seconds that it took. Raises UsageError with frames in flight."""
        self._check_idle()
        start = time.perf_counter()
        with self._visit, self.runs.capturing_at_once():
            for windows in self._sizes():
                for _ in range(IN_FLIGHT):
                    self._submit(windows, [self._spare] * len(windows), self._next(), None)
                    self._wait()
            for mixture in self._mixtures():
                self._shares(mixture, 0)  # which rows begin is a constant on the card for each
            with one_line("what was compiled cannot be kept"):
                self._engines.warmed()
        return time.perf_counter() - start

    def close(self) -> None:
        """Gives all memory of the card back; states that lie there move to the host. Frames in
        flight are lost. May be called twice."""
        if self._closed:
            return
        self._closed = True
        with self._visit:
            self._lanes.settle()
            self.states.close()
            self.runs.close()
            self._kinds.clear()
            self._waited.clear()
            self._engines.close()
            self._memory.close()
            self._lanes.settle()  # memory is given back in the order of the stream
            self._lanes.close()

    def _sizes(self) -> Iterator[list[int]]:
        """Windows of frames that between them have every size of every subgraph, largest first."""
        for faces in range(self._faces, 0, -1):
            for held in range(self._window, -1, -1):
                yield [held] * faces

    def _mixtures(self) -> Iterator[tuple[int, ...]]:
        """Frames in which some faces go on and others begin; of these every number."""
        for faces in range(2, self._faces + 1):
            for begin in range(1, faces):
                yield (self._window,) * (faces - begin) + (0,) * begin

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError("this restorer is closed: load another one")

    def _check_idle(self) -> None:
        self._check_open()
        if self._submitted != self._collected:
            raise UsageError("frames are in flight: collect() them before the warm-up")

    def _count(self, start: float) -> None:
        """Seconds of a call, under "card": only eager frames can tell stages apart."""
        if not self._eager:
            self._lanes.stage_seconds["card"] += time.perf_counter() - start

    def _next(self) -> int:
        """Parity of the frame that may be submitted now. Raises UsageError."""
        self._check_open()
        if self._submitted - self._collected == IN_FLIGHT:
            raise UsageError(f"{IN_FLIGHT} frames are in flight: collect() one first")
        return self._submitted % IN_FLIGHT

    def _submit(self, windows: Sequence[int], slots: Sequence[int], parity: int, kept: Any) -> None:
        """Puts a frame on the streams; `kept` is what must live until it is collected."""
        shares = self._shares(tuple(windows), parity)
        last = self._lanes.submit(self._submitted, shares, slots)
        self._waited[self._submitted] = (kept, len(windows), last)
        self._submitted += 1

    def _shares(self, windows: tuple[int, ...], parity: int) -> Shares:
        found = self._kinds.get((windows, parity))
        if found is None:
            if len(self._kinds) >= KEPT_KINDS:
                self._kinds.pop(next(iter(self._kinds)))
            found = self._kinds[windows, parity] = self._bound(windows, parity)
        return found

    def _bound(self, windows: tuple[int, ...], parity: int) -> Shares:
        shares: dict[str, list[Step]] = {}
        for op in self._graph.stream(windows):
            step = Step(op.name, op.stage, self._device.bind(op, parity, len(windows)))
            shares.setdefault(self._layout.lane(op.name), []).append(step)
        return shares

    def _wait(self) -> Landed:
        """The oldest frame in flight, once it is done. Raises UsageError, BackendError."""
        if self._submitted == self._collected:
            raise UsageError("no frame is in flight: submit() one first")
        kept, faces, last = self._waited.pop(self._collected)
        parity = self._collected % IN_FLIGHT
        self._collected += 1
        with one_line("the frame failed on the card"):
            last.sync()
        given = self._device.given[parity]
        (_, codes), (_, margins) = given["codes"], given["margin"]
        return Landed(kept, parity, codes[:faces].copy(), broken_rows(margins[:faces]))


def _stream_of_subgraphs(
    frame: Sequence[Operation], layout: Layout, lanes: CudaLanes
) -> dict[str, int]:
    """The CUstream that each subgraph of a frame is put on."""
    return {
        work.subgraph: int(lanes.streams[lane_of(operation.name, layout.lanes)].handle)
        for operation in frame
        for work in operation.work
        if isinstance(work, Infer)
    }
