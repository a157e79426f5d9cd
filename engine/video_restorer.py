"""Whole video frames: faces cut out, restored and put back by one list of operations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.errors import UsageError
from keeprt.engine.opening import DeviceChoice, Library, VideoFrames, open_video_frames
from keeprt.engine.state import FaceState
from keeprt.engine.turns import (
    DEFAULT_WINDOW,
    IN_FLIGHT,
    StatefulRestorer,
    Turn,
    Waiting,
    check_sizes,
    load_parts,
)
from keeprt.kernels.frame import FrameFormat
from keeprt.kernels.placement import place_face

Affine = NDArray[np.floating[Any]]
Face = tuple[Affine, FaceState]


class VideoRestorer(StatefulRestorer[VideoFrames]):
    """Restores the faces of whole frames; the frame in and the frame out are all that is moved.

    What the network changed is added under a soft mask, by `keeprt.kernels.paste_back`, as
    `restore_video` does it on the host.
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
        choice: DeviceChoice | None = None,
    ) -> None:
        """Allocates everything that frames of a format, with tight rows, will need."""
        check_sizes(window, max_faces)
        if format.pitches is not None:
            raise UsageError("frames have tight rows: leave the pitches of the format out")
        self.format, sizes = format, {"faces": max_faces, "window": window}
        frames = open_video_frames(
            bundle, library, choice or DeviceChoice(), format, eager=eager, **sizes
        )
        super().__init__(bundle, frames, window=window, max_faces=max_faces)

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
        checked, library, how = load_parts(
            bundle,
            backend,
            provider,
            threads,
            max_faces=max_faces,
            window=window,
            device=device,
            stream=stream,
        )
        restorer = cls(checked, library, format, eager=eager, **how)
        restorer.warm_up()
        return restorer

    def restore(
        self,
        frame: Any,
        faces: Sequence[Face],
        *,
        strengths: Sequence[float] | None = None,
        grey: bool = False,
    ) -> tuple[Any, list[FaceState]]:
        """One frame, uint8 (bytes,), its planes one after the other.

        `faces` are each the map (2, 3) from pixels of the frame to those of the crop, as
        `estimate_transform` gives it, and a state; the states are spent, those returned go on.
        `strengths` are for each face 0 (nothing) to 1 (the restored face, the default); `grey`
        changes brightness alone, of frames that are not RGB.

        Gives a new frame for one on the host; a device array is changed in place and given back. Of
        `CardPlanes`, a frame as its decoder left it on the card, comes a new frame on the host;
        without faces they are given back.
        Raises UsageError, StateError, or FaceError for a map without inverse.
        """
        self._check_none_in_flight()
        advanced = self.submit(frame, faces, strengths=strengths, grey=grey)
        return self.collect(), advanced

    def submit(
        self,
        frame: Any,
        faces: Sequence[Face],
        *,
        strengths: Sequence[float] | None = None,
        grey: bool = False,
    ) -> list[FaceState]:
        """Starts a frame and gives the states after it at once, to go on with; two frames may be
        in flight, and a device array is the card's until it is collected.

        Takes and raises what `restore` does; UsageError for a third frame.
        """
        states = [state for _, state in faces]
        self._check_states(states)
        if self.in_flight == IN_FLIGHT:
            raise UsageError(f"{IN_FLIGHT} frames are in flight: collect() one first")
        if not faces:
            self._waiting.append(Waiting(Turn([], [], []), [], [frame]))
            return []
        turn = self._turn(states)
        painted = self._placements([affine for affine, _ in faces], strengths, grey)
        placements = np.stack(turn.rows(painted))
        self._frames.submit_video(frame, placements, turn.states)
        return self._advance(turn, states, [frame])

    def collect(self) -> Any:
        """Waits for the oldest frame in flight and gives it, as `restore` does. Raises UsageError
        without a frame in flight, BackendError."""
        if self._waiting and not self._waiting[0].advanced:  # a frame without faces
            (frame,) = self._waiting.popleft().faces
            return frame.copy() if isinstance(frame, np.ndarray) else frame
        return self._collect()[1].restored

    def _placements(
        self, maps: Sequence[Affine], strengths: Sequence[float] | None, grey: bool
    ) -> list[NDArray[Any]]:
        layout = self.format.layout
        if grey and layout.rgb:
            raise UsageError(f"{self.format.pixel_format} has no brightness to change alone")
        shares = [1.0] * len(maps) if strengths is None else strengths
        if len(shares) != len(maps) or not all(0 <= share <= 1 for share in shares):
            raise UsageError(f"strengths {strengths} for {len(maps)} faces; give 0 to 1 for each")
        shape = (self.format.width, self.format.height, self.bundle.face_size)
        halved = (layout.halved_x, layout.halved_y)
        return [
            place_face(affine, *shape, halved=halved, strength=share, grey=grey)
            for affine, share in zip(maps, shares, strict=True)
        ]
