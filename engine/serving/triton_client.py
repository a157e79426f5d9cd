"""A client of the model that feels like `Restorer`: one channel, one sequence, frames in order."""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.errors import BackendError, StateError, UsageError
from keeprt.engine.serving.shared_pictures import SharedPictures
from keeprt.engine.serving.triton_model import ENDED, FACE, INDEX, RESTORED
from keeprt.engine.serving.triton_repository import MODEL_NAME

Picture = NDArray[np.uint8]
TIMEOUT_S = 10.0


def connect(url: str, timeout_s: float = TIMEOUT_S) -> Any:
    """A gRPC connection to a server, which is asked whether it has the model.

    Raises BackendError where tritonclient, the server or the model is missing.
    """
    try:
        from tritonclient import grpc
    except ImportError:
        raise BackendError(
            "tritonclient is not installed: it comes with the extra 'triton'"
        ) from None
    client = grpc.InferenceServerClient(url)
    try:
        ready = client.is_model_ready(MODEL_NAME, client_timeout=timeout_s)
    except Exception as error:  # grpc's own classes
        raise BackendError(f"no Triton server answers at {url}: {_line(error)}") from None
    if not ready:
        raise BackendError(f"the server at {url} has no model {MODEL_NAME!r} that is ready")
    return client


class Channel:
    """One face over time, restored by a server. Use it in a `with`: leaving it ends the sequence.

    A frame that is refused or late raises and the channel begins a new sequence with the next one:
    what state the server holds is then unknown.
    """

    def __init__(
        self, client: Any, timeout_s: float = TIMEOUT_S, *, shared_memory: bool = False
    ) -> None:
        """`client` is what `connect` gives; it may be shared by channels of one thread.

        A server that runs as many sequences as it may lets a new one wait without a word: after
        `timeout_s` it is given up. `shared_memory` passes pictures by memory that a server on this
        machine shares.
        """
        self._client, self._timeout_s = client, timeout_s
        self._pictures: SharedPictures | None = None
        self._shares = shared_memory
        self._sequence, self._frames = "", 0
        self._shape: tuple[int, ...] = ()

    def restore(self, face: Picture) -> Picture:
        """Restores the next frame, RGB uint8 (S, S, 3). Raises StateError, BackendError."""
        if face.dtype != np.uint8 or face.ndim != 3:
            raise UsageError(f"a face is RGB uint8 (S, S, 3), not {face.dtype} {face.shape}")
        if not self._frames:
            self._sequence = str(uuid.uuid4())
        try:
            restored = self._infer(face, self._frames, start=not self._frames, end=False)
        except BaseException:
            self._frames = 0
            raise
        self._frames, self._shape = self._frames + 1, face.shape
        return restored

    def reset(self) -> None:
        """Ends the sequence: the next frame begins a new one, at a cut or with another person."""
        self.close()

    def close(self) -> None:
        """Ends the sequence, so that the server can give its place away at once."""
        frames, self._frames = self._frames, 0
        if frames:
            with suppress(BackendError, StateError):  # it forgets us after its idle timeout
                self._infer(np.zeros(self._shape, np.uint8), ENDED, start=False, end=True)
        if self._pictures is not None:
            self._pictures.close()
            self._pictures = None

    def __enter__(self) -> Channel:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _infer(self, face: Picture, index: int, *, start: bool, end: bool) -> Picture:
        from tritonclient import grpc

        inputs = [
            grpc.InferInput(FACE, [1, *face.shape], "UINT8"),
            grpc.InferInput(INDEX, [1, 1], "INT32"),
        ]
        outputs = self._hand_over(face, inputs[0])
        inputs[1].set_data_from_numpy(np.array([[index]], np.int32))
        try:
            result = self._client.infer(
                MODEL_NAME,
                inputs,
                outputs=outputs,
                sequence_id=self._sequence,
                sequence_start=start,
                sequence_end=end,
                client_timeout=self._timeout_s,
            )
        except Exception as error:  # grpc's own classes
            raise _said(error, self._timeout_s) from None
        if self._pictures is not None:
            return self._pictures.restored()
        (restored,) = result.as_numpy(RESTORED)
        return np.asarray(restored, np.uint8)

    def _hand_over(self, face: Picture, tensor: Any) -> list[Any] | None:
        if not self._shares:
            tensor.set_data_from_numpy(np.ascontiguousarray(face)[None])
            return None
        if self._pictures is None:
            self._pictures = SharedPictures(self._client, face.shape)
        return [self._pictures.hand_over(face, tensor)]


def check(url: str, timeout_s: float = TIMEOUT_S) -> float:
    """A canary: one frame of a sequence of its own through the server; seconds that it took.

    A server whose stub was killed still says that it is ready; only an answer tells. Raises
    BackendError or StateError.
    """
    start, client = time.perf_counter(), connect(url, timeout_s)
    grey = np.full((*_face_size(client), 3), 128, np.uint8)
    with Channel(client, timeout_s) as channel:
        channel.restore(grey)
    return time.perf_counter() - start


def _face_size(client: Any) -> tuple[int, int]:
    described = client.get_model_metadata(MODEL_NAME, as_json=True)
    (shape,) = [tensor["shape"] for tensor in described["inputs"] if tensor["name"] == FACE]
    return int(shape[1]), int(shape[2])


def _said(error: Exception, timeout_s: float) -> Exception:
    line = _line(error)
    if "Deadline" in line or "DEADLINE" in line:
        return BackendError(
            f"no answer within {timeout_s:g} s: the server is busy with as many sequences as it "
            "may run, or its model has died"
        )
    return StateError(line) if "sequence" in line else BackendError(line)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:400] or type(error).__name__
