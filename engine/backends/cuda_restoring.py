"""What `Restorer` asks of the card: states found a slot, frames one at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.backends.cuda_device import Engines
from keeprt.engine.backends.cuda_frames import CudaFrames
from keeprt.engine.backends.cuda_states import SLOTS_PER_FACE, slot_of
from keeprt.engine.bundle import Bundle
from keeprt.engine.errors import UsageError
from keeprt.engine.pixels import Picture, check_face
from keeprt.engine.state import FaceState


class CardFrames:
    """The frames of one restorer on the card."""

    def __init__(
        self,
        bundle: Bundle,
        engines: Engines,
        *,
        faces: int,
        window: int,
        device: int = 0,
        stream: object | None = None,
        eager: bool = False,
    ) -> None:
        """As `CudaFrames`; `device` is the card's number."""
        self.frames = CudaFrames(
            bundle,
            engines,
            faces=faces,
            window=window,
            slots=SLOTS_PER_FACE * faces,
            device_id=device,
            stream=stream,
            eager=eager,
        )
        self._bundle, self._window, self._eager = bundle, window, eager

    @property
    def stage_seconds(self) -> dict[str, float]:
        """Seconds by stage of eager frames; else of whole frames, under "card"."""
        return self.frames.stage_seconds

    def new_state(self) -> FaceState:
        """The state of a face before its first frame; it takes a slot with the first."""
        return self.frames.states.new(self._bundle, self._window)

    def placed(self, states: Sequence[FaceState]) -> list[FaceState]:
        """Handles to the same states on this card."""
        return self.frames.states.placed(states)

    def check(self, face: Any) -> None:
        """Raises UsageError for a picture on the host that is no face; of one on the card, the
        frame itself does, before it touches a state."""
        if isinstance(face, np.ndarray):
            check_face(face, self._bundle.face_size)
        elif not hasattr(face, "__cuda_array_interface__") and not hasattr(face, "__dlpack__"):
            raise UsageError(f"a face must be an array on the host or the card, not {face!r:.60}")

    def restore(
        self, windows: Sequence[int], faces: Sequence[Any], states: Sequence[FaceState]
    ) -> list[Picture]:
        """One frame; `states` are those that `placed` gave."""
        start = time.perf_counter()
        pictures = self.frames.restore(windows, [slot_of(state) for state in states], faces)
        if not self._eager:
            self.stage_seconds["card"] += time.perf_counter() - start
        return pictures

    def codes(self, faces: int) -> NDArray[np.int64]:
        """Codebook indices (faces, tokens) of the last frame."""
        return self.frames.codes()[:faces]
