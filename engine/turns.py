"""What restorers of faces and of whole frames have in common: loading, and whose turn it is."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from keeprt.engine.bundle.load import Bundle, load_bundle
from keeprt.engine.errors import UsageError
from keeprt.engine.frame.done import Done
from keeprt.engine.opening import DeviceChoice, Frames, Library, open_library
from keeprt.engine.state import FaceState, check_states, load_state, network_identity

T = TypeVar("T")
F = TypeVar("F", bound=Frames)

DEFAULT_WINDOW = 8
IN_FLIGHT = 2


@dataclass(frozen=True)
class Turn:
    """One frame's faces in the order of rows: `order` has for each row the caller's index, `places`
    for each of the caller's faces its row."""

    order: list[int]
    places: list[int]
    states: list[FaceState]

    @property
    def windows(self) -> list[int]:
        """How many latents the state of each row holds."""
        return [state.seen for state in self.states]

    def rows(self, values: Sequence[T]) -> list[T]:
        """What the caller gave for each face, by row."""
        return [values[index] for index in self.order]

    def back(self, values: Sequence[T]) -> list[T]:
        """What was made for each row, in the caller's order."""
        return [values[row] for row in self.places]


@dataclass(frozen=True)
class Waiting:
    """A frame in flight: its turn, the states after it by row, and the caller's faces."""

    turn: Turn
    advanced: list[FaceState]
    faces: Sequence[Any]
    #: Rows that went on from a state which turned out to be no number.
    spoilt: set[int] = field(default_factory=set)

    def spoil(self, broken: FaceState) -> None:
        """Where this frame went on from that state, it comes to nothing too."""
        for row, (before, after) in enumerate(zip(self.turn.states, self.advanced, strict=True)):
            if before.arrays is broken.arrays and before.seen:
                after.frames = 0
                self.spoilt.add(row)


class StatefulRestorer(Generic[F]):
    """Frames on some device, and the states of the faces that go through them."""

    def __init__(self, bundle: Bundle, frames: F, *, window: int, max_faces: int) -> None:
        self.bundle, self._network = bundle, network_identity(bundle)
        self._opened: F | None = frames
        self.window, self.max_faces = window, max_faces
        #: Seconds that the warm-up took, 0 where none ran.
        self.warm_up_seconds = 0.0
        #: Frames of a face whose network gave something that is no number, each a state that began
        #: anew.
        self.broken_frames = 0
        self._waiting: deque[Waiting] = deque()

    @property
    def _frames(self) -> F:
        """Where frames run. Raises UsageError once it is closed."""
        if self._opened is None:
            raise UsageError("this restorer was closed: load another one")
        return self._opened

    def close(self) -> None:
        """Gives back memory, sessions and what it holds on a card; calling it twice is fine.

        States live on. Any other call raises UsageError afterwards. A `with` block ends in it.
        """
        opened, self._opened = self._opened, None
        self._waiting.clear()
        if opened is not None:
            opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def stage_seconds(self) -> dict[str, float]:
        """Seconds spent in each stage so far; clear it to measure anew."""
        return self._frames.stage_seconds

    @property
    def prepared(self) -> int:
        """Contexts made and graphs captured on a card so far, 0 in host memory; frames are steady
        where it no longer grows."""
        return self._frames.prepared

    def new_state(self) -> FaceState:
        """The state of a face before its first frame."""
        return self._frames.new_state()

    def load_state(self, path: str | Path) -> FaceState:
        """A state from a file that `FaceState.save` wrote. Raises StateError."""
        return load_state(path, self.bundle, self.window)

    def warm_up(self) -> float:
        """Runs every size of a frame once, so that on a card nothing is compiled or captured on
        air; part of `load`. Gives the seconds that it took. Raises UsageError with frames in
        flight, BackendError."""
        self.warm_up_seconds = self._frames.warm_up()
        return self.warm_up_seconds

    @property
    def card(self) -> int | None:
        """The number of the GPU that frames are restored on, None for host memory."""
        return self._frames.card

    @property
    def overlaps(self) -> bool:
        """Whether a frame's share runs beside the one before: then two in flight are faster."""
        return self._frames.overlaps

    @property
    def in_flight(self) -> int:
        """Frames that were submitted and not collected, at most two."""
        return len(self._waiting)

    def collect(self) -> Any:
        """Waits for the oldest frame in flight and gives what was restored."""
        raise NotImplementedError

    def discard(self) -> None:
        """Waits for the frames in flight and forgets them: those of a run that came to nothing."""
        while self._waiting:
            self.collect()

    def _check_none_in_flight(self) -> None:
        if self._waiting:
            raise UsageError("frames are in flight: collect() them before restore()")

    def _check_states(self, states: Sequence[FaceState]) -> None:
        if len(states) > self.max_faces:
            raise UsageError(
                f"{len(states)} faces, but the restorer was loaded with max_faces={self.max_faces}"
            )
        check_states(states, self._network, self.window)

    def _turn(self, states: Sequence[FaceState]) -> Turn:
        """Faces that go on come before those that begin, longer windows first, so that every
        subgraph runs on the first rows of its buffers."""
        placed, slot = self._frames.placed(states), self._frames.slot
        order = sorted(range(len(placed)), key=lambda i: (-placed[i].seen, slot(placed[i])))
        places = sorted(order, key=order.__getitem__)
        return Turn(order, places, [placed[index] for index in order])

    def _advance(
        self, turn: Turn, given: Sequence[FaceState], faces: Sequence[Any]
    ) -> list[FaceState]:
        """The states after a frame that was submitted, in the caller's order; spends those given.

        `faces` is what the caller gave, for rows that come to nothing.
        """
        advanced = [state.advanced(state.frames + 1) for state in turn.states]
        for state in given:  # those that were elsewhere too
            state.spent = True
        self._waiting.append(Waiting(turn, advanced, faces))
        return turn.back(advanced)

    def _collect(self) -> tuple[Waiting, Done]:
        """The oldest frame in flight; a state that holds what is no number begins anew, also where
        the next frame has gone on from it meanwhile."""
        if not self._waiting:
            raise UsageError("no frame is in flight: submit() one first")
        waiting, done = self._waiting.popleft(), self._frames.collect()
        if waiting.spoilt:
            done = replace(done, broken=tuple(sorted({*done.broken, *waiting.spoilt})))
        for row in done.broken:
            broken = waiting.advanced[row]
            for later in self._waiting:
                later.spoil(broken)
            broken.frames = 0
            self.broken_frames += 1
        return waiting, done


def check_sizes(window: int, max_faces: int, chunk: int = 1) -> None:
    """Raises UsageError for sizes that no restorer can have."""
    if window < 2 or chunk < 1 or max_faces < 1:
        raise UsageError("window must be at least 2, chunk and max_faces at least 1")


def load_parts(
    path: str | Path,
    backend: str,
    provider: str,
    threads: int | None,
    *,
    mode: str = "stream",
    max_faces: int,
    window: int,
    device: int,
    stream: object | None,
) -> tuple[Bundle, Library, dict[str, Any]]:
    """A checked bundle, its library, and what both restorers take by name beside them.

    Raises BundleError, BackendError or UsageError.
    """
    bundle = load_bundle(path)
    sizes = {"faces": max_faces, "window": window, "device": device}
    library = open_library(bundle, backend, provider, threads, mode=mode, **sizes)
    choice = DeviceChoice(device, stream)
    return bundle, library, {"window": window, "max_faces": max_faces, "choice": choice}
