"""What is measured: the engine, and the shape that its rivals share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from keeprt.engine.errors import UsageError
from keeprt.engine.pixels import Picture
from keeprt.engine.restorer import Mode, Restorer
from keeprt.engine.state import FaceState

MODES: tuple[Mode, ...] = ("stream", "clip")
StageSeconds = dict[str, float]


@dataclass(frozen=True)
class Case:
    """One configuration: a mode, the faces restored together, the gain's window, the chunk."""

    mode: Mode
    faces: int
    window: int
    chunk: int
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"unknown mode {self.mode!r}; choose {' or '.join(MODES)}")
        if self.faces < 1 or self.window < 2 or self.chunk < 2:
            raise UsageError("faces must be at least 1, window and chunk at least 2")
        if self.mode == "clip" and self.faces > 1:
            raise UsageError("clip mode restores one face at a time")

    @property
    def frames_per_call(self) -> int:
        """Frames that one timed call restores, of each face."""
        return self.chunk if self.mode == "clip" else 1


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
    """`Restorer`, as a caller uses it; `eager` is its switch of that name."""

    bundle: Path
    case: Case
    backend: str = "onnxruntime"
    provider: str = "cpu"
    eager: bool = False
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
        )

    def first(self, pictures: Sequence[Picture]) -> StageSeconds:
        """A frame of each face from new states, or a first chunk."""
        self._states = [self._restorer.new_state() for _ in range(self.case.faces)]
        return self.call(pictures)

    def settle(self, pictures: Sequence[Picture]) -> None:
        """Two frames more, then the window is filled up with what it holds."""
        self.call(pictures)
        if self.case.mode == "stream":
            self._states = [_with_full_window(state) for state in self._states]
            self.call(pictures)

    def call(self, pictures: Sequence[Picture]) -> StageSeconds:
        """One call to `restore` or one chunk of `restore_clip`."""
        self._restorer.stage_seconds.clear()
        if self.case.mode == "clip":
            for _ in self._restorer.restore_clip(pictures):
                pass
        else:
            _, self._states = self._restorer.restore(pictures, self._states)
        return dict(self._restorer.stage_seconds)


@dataclass
class LoadedEngine(EngineContender):
    """The same with a restorer made elsewhere, as for a run that delays or changes a stage."""

    restorer: Restorer = field(kw_only=True)

    def load(self) -> None:
        """Takes the restorer."""
        self._restorer = self.restorer


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
