"""Clip mode: observe a whole chunk, take its gains together, then go through it frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.frame import Frame
from keeprt.engine.pixels import Picture
from keeprt.engine.state import FaceState


class ChunkRestorer:
    """Restores chunks of one face; what the first pass observes is stored for the second."""

    def __init__(self, frame: Frame, chunk: int) -> None:
        """Allocates for chunks of at most `chunk` frames (11 MB a frame at full size)."""
        self._frame = frame
        names = [spec.name for spec in frame.bundle.subgraphs["lq_encoder"].outputs]
        if frame.bundle.has_kalman:
            names.append("features")
        rows = frame.buffers.rows
        self._store = {
            name: np.zeros((chunk, *rows(name, 1).shape[1:]), np.float32) for name in names
        }
        self._last_latent = np.zeros_like(self._store["latent"][0])

    def restore(
        self, chunk: Sequence[Picture], state: FaceState
    ) -> Iterator[tuple[Picture, FaceState]]:
        """Restored frames, each with the state after it; a state of 0 frames starts anew."""
        rows = self._frame.buffers.rows
        for index, picture in enumerate(chunk):
            self._frame.observe([picture])
            for name, stored in self._store.items():
                stored[index] = rows(name, 1)[0]
        gains = self._gains(len(chunk), carried=state.frames > 0)
        self._last_latent[:] = self._store["latent"][len(chunk) - 1]

        for index in range(len(chunk)):
            for name, stored in self._store.items():
                rows(name, 1)[0] = stored[index]
            going_on = int(state.frames > 0)
            self._frame.load_states([state])
            if going_on and self._frame.bundle.has_kalman:
                self._frame.predict(1)
                rows("gain", 1)[0] = gains[index]
            (picture,) = self._frame.correct(1, going_on)
            (state,) = self._frame.save_states([state])
            yield picture, state

    def _gains(self, frames: int, *, carried: bool) -> NDArray[np.float32]:
        """Gains (frames, 1, h, w); the latent before a carried chunk stands first in its window."""
        before = int(carried)
        if not self._frame.bundle.has_kalman or frames + before < 2:
            return np.empty(0, np.float32)
        window = (self._last_latent[None][:before], self._store["latent"][:frames])
        gains: NDArray[np.float32] = self._frame.gains([window], range(before, frames + before))
        newest: NDArray[np.float32] = gains[0].copy()
        return newest
