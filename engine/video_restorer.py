"""Whole video frames: faces cut out, restored and put back by one list of operations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.bundle import Bundle, load_bundle
from keeprt.engine.errors import UsageError
from keeprt.engine.opening import Library, Place, VideoFrames, open_library, open_video_frames
from keeprt.engine.restorer import DEFAULT_WINDOW
from keeprt.engine.state import FaceState, check_states, load_state
from keeprt.kernels.frame import FrameFormat
from keeprt.kernels.placement import place_face

Affine = NDArray[np.floating[Any]]
Face = tuple[Affine, FaceState]


class VideoRestorer:
    """Restores the faces of whole frames; the frame in and the frame out are all that is moved.

    Faces replace what was there under a soft mask, by `keeprt.kernels.paste_back`, where
    `restore_video` adds what the network changed; they are cropped without smoothing, so that a
    face should be no larger than two pixels of the frame per pixel of the crop.
    """

    def __init__(
        self,
        bundle: Bundle,
        library: Library,
        format: FrameFormat,
        *,
        window: int = DEFAULT_WINDOW,
        max_faces: int = 1,
        eager: bool = False,
        place: Place | None = None,
    ) -> None:
        """Allocates everything that frames of a format, with tight rows, will need."""
        if window < 2 or max_faces < 1:
            raise UsageError("window must be at least 2, max_faces at least 1")
        if format.pitches is not None:
            raise UsageError("frames have tight rows: leave the pitches of the format out")
        self.bundle, self.format = bundle, format
        self.window, self.max_faces = window, max_faces
        self._frames: VideoFrames = open_video_frames(
            bundle,
            library,
            place or Place(),
            format,
            faces=max_faces,
            window=window,
            eager=eager,
        )

    @classmethod
    def load(
        cls,
        bundle: str | Path,
        format: FrameFormat,
        backend: str = "onnxruntime",
        *,
        provider: str = "cpu",
        threads: int | None = None,
        window: int = DEFAULT_WINDOW,
        max_faces: int = 1,
        eager: bool = False,
        device: int = 0,
        stream: object | None = None,
    ) -> VideoRestorer:
        """As `Restorer.load`, for whole frames; raises as that does."""
        checked = load_bundle(bundle)
        library = open_library(
            checked,
            backend,
            provider,
            threads,
            mode="stream",
            faces=max_faces,
            window=window,
            device=device,
        )
        place = Place(device, stream)
        options = {"window": window, "max_faces": max_faces}
        return cls(checked, library, format, eager=eager, place=place, **options)

    @property
    def stage_seconds(self) -> dict[str, float]:
        """Seconds spent in each stage so far; clear it to measure anew."""
        return self._frames.stage_seconds

    def new_state(self) -> FaceState:
        """The state of a face before its first frame."""
        return self._frames.new_state()

    def load_state(self, path: str | Path) -> FaceState:
        """A state from a file that `FaceState.save` wrote. Raises StateError."""
        return load_state(path, self.bundle, self.window)

    def restore(self, frame: Any, faces: Sequence[Face]) -> tuple[Any, list[FaceState]]:
        """One frame, uint8 (bytes,), its planes one after the other.

        `faces` are each the map (2, 3) from pixels of the frame to those of the crop, as
        `estimate_transform` gives it, and a state; the states are spent, those returned go on.
        Gives a new frame for one on the host; a device array is changed in place and given back.
        Raises UsageError, StateError, or FaceError for a map without inverse.
        """
        if len(faces) > self.max_faces:
            raise UsageError(
                f"{len(faces)} faces, but the restorer was loaded with max_faces={self.max_faces}"
            )
        states = [state for _, state in faces]
        check_states(states, self.bundle, self.window)
        if not faces:
            return (frame.copy() if isinstance(frame, np.ndarray) else frame), []
        # Longer windows first, as the list has them; see Restorer.
        order = sorted(range(len(faces)), key=lambda row: -states[row].seen)
        placements = np.stack([self._placement(faces[row][0]) for row in order])
        ordered = self._frames.placed([states[row] for row in order])
        windows = [state.seen for state in ordered]
        restored = self._frames.restore_video(windows, frame, placements, ordered)
        advanced = [state.advanced(state.frames + 1) for state in ordered]
        for state in states:
            state.spent = True
        rows = sorted(range(len(faces)), key=order.__getitem__)
        return restored, [advanced[row] for row in rows]

    def _placement(self, affine: Affine) -> NDArray[Any]:
        return place_face(affine, self.format.width, self.format.height, self.bundle.face_size)
