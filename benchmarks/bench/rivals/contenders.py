"""What is measured: the engine, and the shape that its rivals share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from keeprt.benchmarks.bench.scenarios import SCENARIOS
from keeprt.engine.errors import UsageError
from keeprt.engine.frame.pixels import Picture
from keeprt.engine.frame.times import FrameTimes
from keeprt.engine.restorer import Mode, Restorer
from keeprt.engine.state import FaceState
from keeprt.engine.turns import IN_FLIGHT

MODES: tuple[Mode, ...] = ("stream", "clip")
UNTIL_PREPARED = 100  # calls after which a contender is taken as it is, and the page says so
StageSeconds = dict[str, float]


@dataclass(frozen=True)
class Case:
    """One configuration: a mode, the faces restored together, the gain's window, the chunk; and
    the scenario, which says how many frames are in flight."""

    mode: Mode
    faces: int
    window: int
    chunk: int
    threads: int | None = None
    scenario: str = "latency"

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"unknown mode {self.mode!r}; choose {' or '.join(MODES)}")
        if self.faces < 1 or self.window < 2 or self.chunk < 2:
            raise UsageError("faces must be at least 1, window and chunk at least 2")
        if self.mode == "clip" and self.faces > 1:
            raise UsageError("clip mode restores one face at a time")
        if self.scenario not in SCENARIOS:
            names = ", ".join(SCENARIOS)
            raise UsageError(f"unknown scenario {self.scenario!r}; there are {names}")
        if self.mode == "clip" and self.scenario != "latency":
            raise UsageError(f"the scenario {self.scenario} is of stream mode")

    @property
    def in_flight(self) -> int:
        """Frames that the engine holds at once."""
        return SCENARIOS[self.scenario].in_flight

    @property
    def frames_per_call(self) -> int:
        """Frames that one timed call restores, of each face."""
        return self.chunk if self.mode == "clip" else 1


class ContenderError(Exception):
    """A contender that could not go on, in one line for the table."""


class Contender(Protocol):
    """One implementation in one case. The harness times the calls; stages are its own account."""

    def load(self) -> None:
        """Everything up to the first frame."""

    def first(self, pictures: Sequence[Picture]) -> StageSeconds:
        """The first call after `load`, from new states."""

    def settle(self, pictures: Sequence[Picture]) -> None:
        """Warms up to steady frames, in which every gain sees a full window."""

    def call(self, pictures: Sequence[Picture]) -> StageSeconds:
        """One steady call: a frame of each face in stream mode, a chunk in clip mode."""


@dataclass
class EngineContender:
    """`Restorer`, as a caller uses it; `eager` is its switch of that name. With `in_flight`, or in
    a scenario that asks for it, a call starts a frame and takes the one before: its time is that
    between two frames. `delay_s` is slept in each call, to try the comparison of runs."""

    bundle: Path
    case: Case
    backend: str = "onnxruntime"
    provider: str = "cpu"
    eager: bool = False
    in_flight: bool = False
    delay_s: float = 0.0
    device: int = 0
    _restorer: Restorer = field(init=False, repr=False)
    _states: list[FaceState] = field(init=False, repr=False, default_factory=list)

    def load(self) -> None:
        """Checks the bundle, opens the sessions and takes all memory."""
        case = self.case
        self._restorer = Restorer.load(
            self.bundle,
            self.backend,
            case.mode,
            provider=self.provider,
            threads=case.threads,
            window=case.window,
            chunk=case.chunk,
            max_faces=case.faces,
            eager=self.eager,
            device=self.device,
        )

    def first(self, pictures: Sequence[Picture]) -> StageSeconds:
        """A frame of each face from new states, or a first chunk."""
        self._states = [self._restorer.new_state() for _ in range(self.case.faces)]
        stages = self.call(pictures)
        self._restorer.discard()
        return stages

    def settle(self, pictures: Sequence[Picture]) -> None:
        """Two frames more, then the window is filled up with what it holds."""
        self.call(pictures)
        if self.case.mode == "stream":
            while self._restorer.in_flight:
                self._restorer.collect()
            self._states = [_with_full_window(state) for state in self._states]
            for _ in range(self.case.in_flight):
                self.call(pictures)
            if self.prepared:
                self._until_prepared(pictures)

    @property
    def prepared(self) -> int:
        """Contexts made and graphs captured so far; 0 in host memory."""
        return self._restorer.prepared

    def profile(self, pictures: Sequence[Picture]) -> list[FrameTimes]:
        """One frame more, alone, timed on the card; nothing in host memory."""
        if not self.prepared:
            return []
        while self._restorer.in_flight:
            self._restorer.collect()
        with self._restorer.profiled() as frames:
            _, self._states = self._restorer.restore(pictures, self._states)
        return list(frames)

    def _until_prepared(self, pictures: Sequence[Picture]) -> None:
        """Frames are steady once two calls in a row, one of each parity, prepared nothing."""
        quiet = 0
        for _ in range(UNTIL_PREPARED):
            before = self.prepared
            self.call(pictures)
            quiet = quiet + 1 if self.prepared == before else 0
            if quiet == IN_FLIGHT:
                return

    def call(self, pictures: Sequence[Picture]) -> StageSeconds:
        """One frame, or one chunk of `restore_clip`; with two frames in flight the next one is
        submitted before the oldest is collected."""
        self._restorer.stage_seconds.clear()
        if self.delay_s:
            time.sleep(self.delay_s)
        if self.case.mode == "clip":
            for _ in self._restorer.restore_clip(pictures):
                pass
        elif self.in_flight or self.case.in_flight > 1:
            self._states = self._restorer.submit(pictures, self._states)
            if self._restorer.in_flight == IN_FLIGHT:
                self._restorer.collect()
        else:
            _, self._states = self._restorer.restore(pictures, self._states)
        return dict(self._restorer.stage_seconds)


def _with_full_window(state: FaceState) -> FaceState:
    """The state of a face that has had as many frames as its window: repeats the last latent."""
    latents = state.arrays.get("latents")
    if latents is not None and state.frames < state.window:
        latents[state.frames :] = latents[state.frames - 1]
    return state.advanced(max(state.frames, state.window))


def pictures_for(case: Case, clip: Sequence[Picture], index: int) -> list[Picture]:
    """Pictures of call number `index`, from a clip that is gone through back and forth.

    Faces of a batch are different frames of it; a chunk is so many neighbouring frames.
    """
    there_and_back = [*clip, *reversed(clip[1:-1])]
    count = case.frames_per_call * case.faces
    start = index * case.frames_per_call
    return [np.ascontiguousarray(there_and_back[(start + k) % len(there_and_back)])
            for k in range(count)]  # fmt: skip
