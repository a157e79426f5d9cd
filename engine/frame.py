"""The work of one frame on fixed buffers: observe, predict, correct. Both modes are made of it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.backends.onnxruntime import OnnxRuntimeBackend
from keeprt.engine.buffers import Array, Buffers
from keeprt.engine.bundle import Bundle
from keeprt.engine.pixels import Picture, normalise, quantise
from keeprt.engine.state import FaceState
from keeprt.kernels.warp_by_flow import warp_by_flow


class Frame:
    """Runs the subgraphs on the first rows of its buffers, one row per face."""

    def __init__(
        self, bundle: Bundle, backend: OnnxRuntimeBackend, *, faces: int, frames: int, selected: int
    ) -> None:
        """Allocates for at most so many faces, frames in a gain's window, and gains at once."""
        self.bundle = bundle
        self.buffers = Buffers(bundle, faces=faces, frames=frames, selected=selected)
        self.stage_seconds: defaultdict[str, float] = defaultdict(float)
        self._backend = backend
        self._scratch = np.empty((3, bundle.face_size, bundle.face_size), np.float32)

    def observe(self, faces: Sequence[Picture]) -> None:
        """What a frame shows by itself: latents, taps and flow features."""
        for picture, row in zip(faces, self.buffers.rows("face", len(faces)), strict=True):
            normalise(picture, row)
        self._run("lq_encoder", faces=len(faces))
        if self.bundle.has_kalman:
            self._run("flow_features", faces=len(faces))

    def gains(
        self, windows: Sequence[Sequence[NDArray[np.float32]]], selected: Sequence[int]
    ) -> NDArray[np.float32]:
        """Gains (faces, selected, 1, h, w) from one window of latents per face.

        A window comes in pieces (n, C, h, w), all windows of the same length; `selected` are the
        frames of it to give gains of. The result is a view that the next call overwrites.
        """
        frames = sum(map(len, windows[0]))
        inputs, outputs = self.buffers.bound(
            "gain_net", faces=len(windows), frames=frames, selected=len(selected)
        )
        for row, pieces in zip(inputs["latents"], windows, strict=True):
            np.concatenate(pieces, out=row)
        inputs["selected"][:] = selected
        self._timed("gain_net", inputs, outputs)
        gains: NDArray[np.float32] = outputs["gains"]
        return gains

    def predict(self, faces: int) -> None:
        """The latents that the last restored faces lead to expect, by flow and warp."""
        rows = self.buffers.rows
        self._run("flow_matching", faces=faces)
        start = time.perf_counter()
        warp_by_flow(
            rows("previous_restored", faces),
            rows("flow", faces),
            rows("mask", faces),
            out=rows("warped", faces),
        )
        self.stage_seconds["warp"] += time.perf_counter() - start
        self._run("hq_encoder", faces=faces)

    def correct(self, faces: int, going_on: int) -> list[Picture]:
        """Update, code lookup and generator; rows from `going_on` are first frames."""
        self.buffers.rows("is_first", faces)[:] = np.arange(faces) >= going_on
        self._run("decoder", faces=faces)
        return [quantise(row, self._scratch) for row in self.buffers.rows("restored", faces)]

    def codes(self, faces: int) -> NDArray[np.int64]:
        """Codebook indices (faces, tokens) of the last `correct`, a view."""
        codes: NDArray[np.int64] = self.buffers.rows("codes", faces)
        return codes

    def load_states(self, states: Sequence[FaceState]) -> None:
        """Puts the past of each face into its row."""
        for name in states[0].per_frame:
            for row, state in zip(
                self.buffers.rows(f"previous_{name}", len(states)), states, strict=True
            ):
                row[:] = state.arrays[name]

    def save_states(self, states: Sequence[FaceState]) -> list[FaceState]:
        """Takes from each row what the next frame will need; spends the states given."""
        for name in states[0].per_frame:
            for row, state in zip(self.buffers.rows(name, len(states)), states, strict=True):
                state.arrays[name][:] = row
        if self.bundle.has_kalman:
            for state, latent in zip(states, self.buffers.rows("latent", len(states)), strict=True):
                state.push(latent)
        return [state.advanced(state.frames + 1) for state in states]

    def _run(self, subgraph: str, *, faces: int) -> None:
        self._timed(subgraph, *self.buffers.bound(subgraph, faces=faces))

    def _timed(self, subgraph: str, inputs: dict[str, Array], outputs: dict[str, Array]) -> None:
        start = time.perf_counter()
        self._backend.run(subgraph, inputs, outputs)
        self.stage_seconds[subgraph] += time.perf_counter() - start
