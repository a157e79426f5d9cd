"""Clip mode: observe a whole chunk, take its gains together, then go through it frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.devices.cpu.frames import CpuFrames
from keeprt.engine.frame.pixels import Picture
from keeprt.engine.state import FaceState


class ChunkRestorer:
    """Restores chunks of one face; what the first pass observes is stored for the second."""

    def __init__(self, frame: CpuFrames, chunk: int) -> None:
        """Allocates for chunks of at most `chunk` frames (11 MB a frame at full size)."""
        self._frame = frame
        names = [spec.name for spec in frame.bundle.subgraphs["lq_encoder"].outputs]
        if frame.bundle.has_kalman:
            names += ["features", "gain"]
        self._store = {
            name: np.zeros((chunk, *frame.table.row(name, 0).shape), np.float32) for name in names
        }
        self._last_latent = np.zeros_like(self._store["latent"][0])

    def codes(self) -> NDArray[np.int64]:
        """Codebook indices (1, tokens) of the frame restored last, a view."""
        return self._frame.codes(1)

    def restore(
        self, chunk: Sequence[Picture], state: FaceState
    ) -> Iterator[tuple[Picture, FaceState]]:
        """Restored frames, each with the state after it; a state of 0 frames starts anew."""
        self.observe(chunk, going_on=state.frames > 0)
        for index in range(len(chunk)):
            picture, state = self.restore_frame(index, state)
            yield picture, state

    def observe(self, chunk: Sequence[Picture], going_on: bool = False) -> None:
        """First pass: what the frames show by themselves, and the gains that see all of them.

        `going_on` lets the gains see the last frame of the chunk before, too.
        """
        for index, picture in enumerate(chunk):
            self._point(index)
            self._frame.set_outside([], [picture])
            self._frame.run("observe", self._frame.graph.observe)
        self._gains(len(chunk), before=int(going_on))
        self._last_latent[:] = self._store["latent"][len(chunk) - 1]

    def restore_frame(self, index: int, state: FaceState) -> tuple[Picture, FaceState]:
        """Second pass: one frame of the chunk observed last; spends the state before it."""
        frame = self._frame
        self._point(index)
        frame.set_outside([state])
        going_on = state.frames > 0
        frame.run(going_on, partial(frame.graph.chunk_frame, going_on))
        if frame.bundle.has_kalman:
            state.push(self._store["latent"][index])
        return frame.results(1)[0], state.advanced(state.frames + 1)

    def _point(self, index: int) -> None:
        """Lets "chunk.*" be the place of one frame of the chunk."""
        for name, stored in self._store.items():
            self._frame.device.outside[f"chunk.{name}"] = [stored[index]]

    def _gains(self, frames: int, *, before: int) -> None:
        """Gains of the chunk; the latent before a carried one stands first in its window."""
        frame = self._frame
        if not frame.bundle.has_kalman or frames + before < 2:
            return
        frame.device.outside["chunk.before"] = [self._last_latent]
        frame.device.outside["chunk.latents"] = [self._store["latent"]]
        frame.device.outside["chunk.gains"] = [self._store["gain"]]
        frame.run(("gains", frames, before), lambda: frame.graph.chunk_gains(frames, before))
