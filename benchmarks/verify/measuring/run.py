"""The measurement: reference and runtime side by side, frame by frame."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import psutil

from keeprt.benchmarks.precision.runs import Recorder
from keeprt.benchmarks.verify.measuring.engine_side import EngineSide
from keeprt.benchmarks.verify.measuring.errors import Array, FrameError, frame_error
from keeprt.benchmarks.verify.measuring.pictures import FramePictures
from keeprt.benchmarks.verify.measuring.reference_frame import ReferenceFrame, ReferenceSource
from keeprt.benchmarks.verify.measuring.subgraph_errors import subgraph_errors
from keeprt.benchmarks.verify.result import FrameRow, Result
from keeprt.engine.bundle.load import Bundle
from keeprt.engine.frame.pixels import Picture, quantise
from keeprt.engine.state import FaceState

if TYPE_CHECKING:
    from keeprt.benchmarks.verify.measuring.reference import SteppedReference
    from keeprt.export.model import Keep

Tensors = dict[str, Array]
__all__ = ["FramePictures", "Verification", "Watchers", "spread"]


@dataclass
class Watchers:
    """Who wants to hear: of each measured frame, and of pictures worth keeping."""

    on_frame: Callable[[FrameRow], None] = lambda row: None
    on_pictures: Callable[[FramePictures], None] = lambda pictures: None


@dataclass
class _Side:
    """The runtime going on from a state; `since` counts frames since it was the reference's."""

    state: FaceState
    since: int = 0


@dataclass
class Verification:
    """Runs both sides. `chunk` None is stream mode with `window`; a number is clip mode.

    `samples` are the frames at which every subgraph is fed with the reference's activations and
    the frame is restored from the reference's state. What is measured goes to `result` at once.
    With `control` the reference runs a second time, its state disturbed once, after the first
    frame, by noise of the size of the runtime's errors there: what then grows is the network's own
    doing. `worst_inputs` keeps, of every subgraph, the sampled inputs on which it did worst, with
    the reference's outputs there; `kept` the first `keep` of the reference's frames. `stored` is
    where these come from in place of the network.
    """

    bundle: Bundle
    backend: Recorder
    network: Keep | None
    result: Result
    window: int
    chunk: int | None
    samples: frozenset[int]
    control: bool = False
    watchers: Watchers = field(default_factory=Watchers)
    worst_inputs: dict[str, tuple[float, Tensors, Tensors]] = field(default_factory=dict)
    stored: ReferenceSource | None = None
    keep: int = 0
    kept: list[ReferenceFrame] = field(default_factory=list)

    def run(self, faces: Iterable[Picture]) -> None:
        """Measures all frames; interrupted, `result` holds those that were measured."""
        self._engine = EngineSide(self.bundle, self.backend, self.window, self.chunk)
        self._free = _Side(self._engine.new_state())
        self._synced: _Side | None = None
        self._scratch = self._engine.new_state()
        window = self.window if self.chunk is None else None
        reference = self.stored or self._stepped(window)
        self._control = self._stepped(window) if self.control else None
        self._process = psutil.Process()
        remaining, number = iter(faces), 0
        while pictures := list(islice(remaining, self.chunk or 1)):
            with self._timed("runtime"):
                self._engine.show(pictures)
            frames = reference.restore(pictures)
            disturbed = self._control.restore(pictures) if self._control else None
            for index in range(len(pictures)):
                with self._timed("reference"):
                    frame = next(frames)
                again = None
                if disturbed is not None:
                    with self._timed("control"):
                        again = next(disturbed)
                self._measure(number, index, frame, again)
                number += 1
        self.result.complete = True

    def _stepped(self, window: int | None) -> SteppedReference:
        from keeprt.benchmarks.verify.measuring.reference import SteppedReference

        assert self.network is not None
        return SteppedReference(self.network, window)

    def _measure(
        self, number: int, index: int, reference: ReferenceFrame, again: ReferenceFrame | None
    ) -> None:
        if len(self.kept) < self.keep:
            self.kept.append(reference)
        before = self.result.seconds.get("runtime", 0.0)
        if not reference.frames_before:
            self._free, self._synced = _Side(self._free.state.reset()), None
        picture, free = self._advance(self._free, index, reference)
        runtime_ms = 1e3 * (self.result.seconds["runtime"] - before)
        synced, came_from_reference = free, self._free.since == 1 and self._synced is None
        if self._synced is not None:
            came_from_reference = self._synced.since == 0
            picture, synced = self._advance(self._synced, index, reference)
        if synced.codes.flips:
            state = self._synced.state if self._synced else self._engine.new_state()
            self._synced = _Side(reference.put_after_into(state))
        forced = None
        if number in self.samples:
            forced = synced if came_from_reference else self._force(index, reference)
            self._compare_subgraphs(number, reference)
            self._show(number, picture, reference)
        row = FrameRow(
            frame=number,
            face_sha256=hashlib.sha256(reference.face.tobytes()).hexdigest(),
            begins=not reference.frames_before,
            logits_std=reference.logits_std,
            free=free,
            synced=synced,
            forced=forced,
            control=self._compare_control(reference, again, free) if again else None,
            runtime_ms=runtime_ms,
            resident_mb=self._process.memory_info().rss / 1e6,
        )
        self.result.frames.append(row)
        self.watchers.on_frame(row)

    def _advance(
        self, side: _Side, index: int, reference: ReferenceFrame
    ) -> tuple[Picture, FrameError]:
        with self._timed("runtime"):
            picture, record, side.state = self._engine.restore(index, side.state)
        side.since += 1
        return picture, frame_error(record.outputs, side.state.arrays, reference, side.since)

    def _force(self, index: int, reference: ReferenceFrame) -> FrameError:
        """The frame from the reference's state, whatever the runtime's own past."""
        self._scratch = reference.put_into(self._scratch)
        _, error = self._advance(side := _Side(self._scratch), index, reference)
        self._scratch = side.state
        return error

    def _compare_control(
        self, reference: ReferenceFrame, again: ReferenceFrame, free: FrameError
    ) -> FrameError:
        since = reference.frames_before + 1
        if since == 1 and self._control is not None:
            self._control.disturb(free.state)
        return frame_error(again.outputs, again.after, reference, since)

    def _compare_subgraphs(self, number: int, reference: ReferenceFrame) -> None:
        with self._timed("subgraphs"):
            errors = subgraph_errors(self.bundle, self.backend, number, reference)
        self.result.outputs += errors
        for name in reference.outputs:
            worst = max(error.size for error in errors if error.subgraph == name)
            if worst > self.worst_inputs.get(name, (-math.inf, {}, {}))[0]:
                self.worst_inputs[name] = (worst, reference.inputs[name], reference.outputs[name])

    @property
    def tensors(self) -> dict[str, tuple[Tensors, Tensors]]:
        """Inputs and the reference's outputs of every subgraph, where it did worst."""
        return {name: (inputs, outputs) for name, (_, inputs, outputs) in self.worst_inputs.items()}

    def _show(self, number: int, ours: Picture, reference: ReferenceFrame) -> None:
        restored = reference.outputs["decoder"]["restored"][0]
        theirs = quantise(restored, np.empty_like(restored))
        self.watchers.on_pictures(FramePictures(number, reference.face, theirs, ours))
        self.result.pictures.append(number)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        spent = time.perf_counter() - start
        self.result.seconds[what] = self.result.seconds.get(what, 0.0) + spent


def spread(samples: int, frames: int) -> frozenset[int]:
    """So many frame numbers: the first, and from the second, which is recurrent, on evenly."""
    rest = np.linspace(1, frames - 1, min(samples, frames) - 1).round()
    return frozenset({0, *(int(number) for number in rest)})
