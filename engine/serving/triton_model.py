"""The model that Triton's Python backend runs: batches of frames of many sequences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keeprt.engine.errors import KeeprtError, StateError, UsageError
from keeprt.engine.restorer import Restorer
from keeprt.engine.serving.sequences import Sequences
from keeprt.engine.state import FaceState

# Names of tensors; `triton_repository` writes them into the configuration.
FACE, INDEX, RESTORED, START, END = "FACE", "INDEX", "RESTORED", "START", "END"
PARAMETERS = "keeprt"
#: Index of a request that only ends its sequence; its picture is not looked at.
ENDED = -1


@dataclass(frozen=True)
class Frame:
    """A request in plain values: frame `index` of a sequence. face: uint8 (S, S, 3) RGB."""

    sequence: str
    start: bool
    end: bool
    index: int
    face: Any


class Channels:
    """Restores frames of many sequences, each with a state of its own, as batches."""

    def __init__(self, restorer: Restorer, sequences: int) -> None:
        """`sequences` is how many may run at once."""
        self._restorer = restorer
        self._states: Sequences[FaceState] = Sequences(
            sequences, restorer.new_state, lambda state: state.frames
        )

    def restore(self, frames: Sequence[Frame]) -> list[Any]:
        """For each frame the restored face, uint8 (S, S, 3), or the error that refuses it.

        A frame that is refused changes no state, its own or another's; a batch that fails as a
        whole ends its sequences, since nobody can say what became of their states.
        """
        answers: list[Any] = [None] * len(frames)
        ready: dict[str, tuple[int, FaceState]] = {}
        for row, frame in enumerate(frames):
            if frame.end and frame.index == ENDED:
                answers[row] = frame.face
                continue
            state = self._state_for(frame, ready)
            if isinstance(state, KeeprtError):
                answers[row] = state
            else:
                ready[frame.sequence] = (row, state)
        for names in _batches(list(ready), self._restorer.max_faces):
            self._batch(frames, {name: ready[name] for name in names}, answers)
        for frame in frames:
            if frame.end:
                self._states.end(frame.sequence)
        return answers

    def _state_for(self, frame: Frame, ready: dict[str, Any]) -> FaceState | KeeprtError:
        if frame.sequence in ready:
            return StateError(f"two frames of sequence {frame.sequence} came in one batch")
        size = self._restorer.bundle.face_size
        if frame.face.shape != (size, size, 3):
            return UsageError(f"a face is RGB uint8 ({size}, {size}, 3), not {frame.face.shape}")
        try:
            return self._states.take(frame.sequence, start=frame.start, index=frame.index)
        except StateError as error:
            return error

    def _batch(
        self, frames: Sequence[Frame], ready: dict[str, tuple[int, FaceState]], answers: list[Any]
    ) -> None:
        rows = [row for row, _ in ready.values()]
        faces = [frames[row].face for row in rows]
        try:
            restored, states = self._restorer.restore(faces, [state for _, state in ready.values()])
        except Exception as error:
            for name, row in zip(ready, rows, strict=True):
                self._states.end(name)
                answers[row] = error
            return
        for name, row, face, state in zip(ready, rows, restored, states, strict=True):
            answers[row] = face
            self._states.keep(name, state)


def _batches(names: list[str], size: int) -> list[list[str]]:
    return [names[first : first + size] for first in range(0, len(names), size)]


class TritonModel:
    """What a repository's `model.py` calls `TritonPythonModel`."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the bundle that the configuration names."""
        import triton_python_backend_utils as backend  # exists only inside the server's stub

        self._backend: Any = backend
        parameters = json.loads(args["model_config"])["parameters"]
        asked = json.loads(parameters[PARAMETERS]["string_value"])
        restorer = Restorer.load(asked["bundle"], **asked["load"])
        self._channels = Channels(restorer, asked["sequences"])

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One answer for each request, in order."""
        answers = self._channels.restore([self._frame(request) for request in requests])
        return [self._response(answer) for answer in answers]

    def _frame(self, request: Any) -> Frame:
        def value(name: str) -> int:
            return int(self._array(request, name).reshape(-1)[0])

        (face,) = self._array(request, FACE)
        sequence = str(request.correlation_id() or "")
        return Frame(sequence, bool(value(START)), bool(value(END)), value(INDEX), face)

    def _array(self, request: Any, name: str) -> Any:
        # By DLPack: with NumPy 2 the backend's own as_numpy() gives wrong values without an error.
        return np.from_dlpack(self._backend.get_input_tensor_by_name(request, name))

    def _response(self, answer: Any) -> Any:
        backend = self._backend
        if isinstance(answer, Exception):
            said = str(answer) if isinstance(answer, KeeprtError) else f"restoring: {answer!r}"
            return backend.InferenceResponse([], error=backend.TritonError(said))
        # DLPack exports no array that may not be written, such as a request's own picture; the
        # error would be that of all requests of the batch.
        writable = np.require(answer, requirements=("C", "W"))
        tensor = backend.Tensor.from_dlpack(RESTORED, writable[None])
        return backend.InferenceResponse([tensor])
