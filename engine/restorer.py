"""The restorer: faces in, restored faces out, the latent state carried from frame to frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, cast, overload

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.backends.cuda_device import Engines
from keeprt.engine.bundle import Bundle, load_bundle
from keeprt.engine.clip import ChunkRestorer
from keeprt.engine.errors import UsageError
from keeprt.engine.frame import Frame
from keeprt.engine.opening import Frames, Library, Place, open_frames, open_library
from keeprt.engine.pixels import Picture, check_face
from keeprt.engine.state import FaceState, check_states, load_state

Mode = Literal["stream", "clip"]

DEFAULT_WINDOW = 8
DEFAULT_CHUNK = 20


class Restorer:
    """Restores aligned faces in one of the two modes of the same network.

    "stream": `restore` takes one frame and gives one frame; the gain sees the first frame and the
    last `window - 1`. "clip": `restore_clip` works in chunks whose gains see the whole chunk, as
    the authors' script does. Not safe to call from two threads at once.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: Library,
        *,
        mode: Mode = "stream",
        window: int = DEFAULT_WINDOW,
        chunk: int = DEFAULT_CHUNK,
        max_faces: int = 1,
        eager: bool = False,
        place: Place | None = None,
    ) -> None:
        """Allocates everything that frames will need; `window` and `chunk` are in frames."""
        if mode not in ("stream", "clip"):
            raise UsageError(f"unknown mode {mode!r}; choose 'stream' or 'clip'")
        if window < 2 or chunk < 1 or max_faces < 1:
            raise UsageError("window must be at least 2, chunk and max_faces at least 1")
        self.bundle = bundle
        self.mode = mode
        self.window = window
        self.chunk = chunk
        self.max_faces = max_faces
        #: Codebook indices (faces, tokens) of the frame restored last, for comparison.
        self.last_codes: NDArray[np.int64] = np.empty((0, 0), np.int64)
        if mode == "stream":
            self._frame: Frames = open_frames(
                bundle,
                backend,
                place or Place(),
                faces=max_faces,
                window=window,
                eager=eager,
            )
            return
        if isinstance(backend, Engines):
            raise UsageError("mode 'clip' runs on backend 'onnxruntime' only; choose 'stream'")
        frame = Frame(bundle, backend, faces=1, window=window, chunk=chunk, eager=eager)
        self._frame, self._chunks = frame, ChunkRestorer(frame, chunk)

    @classmethod
    def load(
        cls,
        bundle: str | Path,
        backend: str = "onnxruntime",
        mode: Mode = "stream",
        *,
        provider: str = "cpu",
        threads: int | None = None,
        window: int = DEFAULT_WINDOW,
        chunk: int = DEFAULT_CHUNK,
        max_faces: int = 1,
        eager: bool = False,
        device: int = 0,
        stream: object | None = None,
    ) -> Restorer:
        """Checks a bundle, loads it into an inference library and gets ready for frames.

        `backend` is "onnxruntime", or "rtx" or "tensorrt" for plans that `keeprt build` made, on
        the card number `device`; frames then wait for the caller's `stream` there and it for them.
        `eager` runs a frame's operations one by one with a synchronise after each: the first
        question about a wrong picture is whether it also happens eagerly. Raises BundleError,
        BackendError or UsageError.
        """
        checked = load_bundle(bundle)
        library = open_library(
            checked,
            backend,
            provider,
            threads,
            mode=mode,
            faces=max_faces,
            window=window,
            device=device,
        )
        return cls(
            checked,
            library,
            mode=mode,
            window=window,
            chunk=chunk,
            max_faces=max_faces,
            eager=eager,
            place=Place(device, stream),
        )

    @property
    def stage_seconds(self) -> dict[str, float]:
        """Seconds spent in each stage so far; clear it to measure anew."""
        return self._frame.stage_seconds

    def new_state(self) -> FaceState:
        """The state of a face before its first frame."""
        return self._frame.new_state()

    def load_state(self, path: str | Path) -> FaceState:
        """A state from a file that `FaceState.save` wrote. Raises StateError."""
        return load_state(path, self.bundle, self.window)

    @overload
    def restore(self, face: Picture, state: FaceState) -> tuple[Picture, FaceState]: ...
    @overload
    def restore(
        self, face: Sequence[Picture], state: Sequence[FaceState]
    ) -> tuple[list[Picture], list[FaceState]]: ...
    def restore(
        self, face: Picture | Sequence[Picture], state: FaceState | Sequence[FaceState]
    ) -> tuple[Picture, FaceState] | tuple[list[Picture], list[FaceState]]:
        """Restores one frame of one face, or of several faces that each have a state.

        Faces are RGB uint8 (512, 512, 3), in and out; on a card they may be given as device arrays
        (`__cuda_array_interface__`, DLPack). The states given are spent; go on with those
        returned. A state may come from a restorer of the same network on another device. Raises
        UsageError for other shapes, StateError for a spent or foreign state.
        """
        if self.mode != "stream":
            raise UsageError("this restorer was loaded for mode 'clip': use restore_clip()")
        if isinstance(state, FaceState):
            faces, states = self._restore_batch([cast(Picture, face)], [state])
            return faces[0], states[0]
        return self._restore_batch(list(face), list(state))

    def restore_clip(
        self, frames: Iterable[Picture], *, carry_state: bool = False
    ) -> Iterator[Picture]:
        """Restores the frames of one face chunk by chunk, holding one chunk at a time.

        As released, each chunk starts anew. With `carry_state` the recurrence goes on over the
        borders, and the gains of a later chunk see the last frame of the one before as the first
        of their window. Raises UsageError for frames of another shape.
        """
        if self.mode != "clip":
            raise UsageError("this restorer was loaded for mode 'stream': use restore()")
        remaining = iter(frames)
        state = self.new_state()
        while chunk := list(islice(remaining, self.chunk)):
            for picture in chunk:
                check_face(picture, self.bundle.face_size)
            if not carry_state:
                state = state.reset()
            for picture, advanced in self._chunks.restore(chunk, state):
                self.last_codes, state = self._frame.codes(1).copy(), advanced
                yield picture

    def _restore_batch(
        self, faces: list[Picture], states: list[FaceState]
    ) -> tuple[list[Picture], list[FaceState]]:
        self._check_batch(faces, states)
        # Faces that go on come before those that begin, longer windows first, so that every
        # subgraph runs on the first rows of its buffers.
        order = sorted(range(len(faces)), key=lambda row: -states[row].seen)
        ordered = self._frame.placed([states[row] for row in order])
        windows = [state.seen for state in ordered]
        restored = self._frame.restore(windows, [faces[row] for row in order], ordered)
        advanced = [state.advanced(state.frames + 1) for state in ordered]
        for state in states:  # those that were elsewhere too
            state.spent = True

        rows = sorted(range(len(faces)), key=order.__getitem__)
        self.last_codes = self._frame.codes(len(faces))[rows]
        return [restored[row] for row in rows], [advanced[row] for row in rows]

    def _check_batch(self, faces: list[Picture], states: list[FaceState]) -> None:
        if not 0 < len(faces) == len(states):
            raise UsageError(
                f"{len(faces)} faces and {len(states)} states: give one state per face"
            )
        if len(faces) > self.max_faces:
            raise UsageError(
                f"{len(faces)} faces, but the restorer was loaded with max_faces={self.max_faces}"
            )
        for face in faces:
            self._frame.check(face)
        check_states(states, self.bundle, self.window)
