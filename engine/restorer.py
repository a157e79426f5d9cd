"""The restorer: faces in, restored faces out, the latent state carried from frame to frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from typing import Literal, cast, overload

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.devices.cpu.chunks import ChunkRestorer
from keeprt.engine.devices.cpu.frames import CpuFrames
from keeprt.engine.devices.cuda.engines import Engines
from keeprt.engine.errors import UsageError
from keeprt.engine.frame.pixels import Picture, check_face
from keeprt.engine.frame.times import FrameTimes
from keeprt.engine.opening import DeviceChoice, FaceFrames, Library, open_frames
from keeprt.engine.state import FaceState
from keeprt.engine.turns import DEFAULT_WINDOW, StatefulRestorer, check_sizes, load_parts

Mode = Literal["stream", "clip"]

DEFAULT_CHUNK = 20
__all__ = ["DEFAULT_CHUNK", "DEFAULT_WINDOW", "Mode", "Restorer"]


class Restorer(StatefulRestorer[FaceFrames]):
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
        choice: DeviceChoice | None = None,
    ) -> None:
        """Allocates everything that frames will need; `window` and `chunk` are in frames."""
        if mode not in ("stream", "clip"):
            raise UsageError(f"unknown mode {mode!r}; choose 'stream' or 'clip'")
        check_sizes(window, max_faces, chunk)
        self.mode, self.chunk = mode, chunk
        #: Codebook indices (faces, tokens) of the frame restored last, for comparison.
        self.last_codes: NDArray[np.int64] = np.empty((0, 0), np.int64)
        frames: FaceFrames
        self._chunks: ChunkRestorer | None = None
        if mode == "stream":
            how = {"faces": max_faces, "window": window}
            frames = open_frames(bundle, backend, choice or DeviceChoice(), eager=eager, **how)
        elif isinstance(backend, Engines):
            raise UsageError("mode 'clip' runs on backend 'onnxruntime' only; choose 'stream'")
        else:
            cpu = CpuFrames(bundle, backend, faces=1, window=window, chunk=chunk, eager=eager)
            frames, self._chunks = cpu, ChunkRestorer(cpu, chunk)
        super().__init__(bundle, frames, window=window, max_faces=max_faces)

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
        checked, library, how = load_parts(
            bundle,
            backend,
            provider,
            threads,
            mode=mode,
            max_faces=max_faces,
            window=window,
            device=device,
            stream=stream,
        )
        restorer = cls(checked, library, mode=mode, chunk=chunk, eager=eager, **how)
        restorer.warm_up()
        return restorer

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
        self._check_none_in_flight()
        if isinstance(state, FaceState):
            (advanced,) = self.submit([cast(Picture, face)], [state])
            return self.collect()[0], advanced
        advanced_states = self.submit(list(face), list(state))
        return self.collect(), advanced_states

    def submit(self, faces: Sequence[Picture], states: Sequence[FaceState]) -> list[FaceState]:
        """Starts a frame and gives the states after it at once, to go on with; two frames may be
        in flight, so that on a card the next one's share runs beside this one's.

        Takes and raises what `restore` does with several faces; UsageError for a third frame.
        """
        if self.mode != "stream":
            raise UsageError("this restorer was loaded for mode 'clip': use restore_clip()")
        self._check_batch(faces, states)
        turn = self._turn(states)
        self._frames.submit(turn.rows(faces), turn.states)
        return self._advance(turn, states, faces)

    def collect(self) -> list[Picture]:
        """Waits for the oldest frame in flight and gives its faces, in the order of `submit`.

        Where the network said something that is no number, the face is given back as it came, and
        its state begins anew. Raises UsageError without a frame in flight, BackendError.
        """
        waiting, done = self._collect()
        turn = waiting.turn
        self.last_codes = done.codes[turn.places]
        for row in done.broken:
            given = waiting.faces[turn.order[row]]
            if isinstance(given, np.ndarray):
                done.restored[row] = given.copy()
        return turn.back(done.restored)

    def profiled(self) -> AbstractContextManager[list[FrameTimes]]:
        """Within it the list gets each frame's times on the card, by CUDA events around every
        operation, which take time themselves. For `restore`, one frame in flight. Raises UsageError
        with frames in flight, and where frames run in host memory."""
        self._check_none_in_flight()
        return self._frames.profiled()

    def close(self) -> None:
        """See `StatefulRestorer`."""
        self._chunks = None
        super().close()

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
        remaining, chunks = iter(frames), self._chunks
        state = self.new_state()
        assert chunks is not None
        while chunk := list(islice(remaining, self.chunk)):
            for picture in chunk:
                check_face(picture, self.bundle.face_size)
            if not carry_state:
                state = state.reset()
            for picture, advanced in chunks.restore(chunk, state):
                self.last_codes, state = chunks.codes().copy(), advanced
                yield picture

    def _check_batch(self, faces: Sequence[Picture], states: Sequence[FaceState]) -> None:
        if not 0 < len(faces) == len(states):
            raise UsageError(
                f"{len(faces)} faces and {len(states)} states: give one state per face"
            )
        for face in faces:
            self._frames.check(face)
        self._check_states(states)
