"""Which library and device a restorer's frames run on: the one place that knows them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.backends.cuda_device import Engines
from keeprt.engine.backends.onnxruntime import OnnxRuntimeBackend
from keeprt.engine.backends.onnxruntime_cuda import OnnxRuntimeEngines
from keeprt.engine.backends.tensorrt_flavours import FLAVOURS
from keeprt.engine.buffers import Array
from keeprt.engine.bundle import Bundle
from keeprt.engine.cpu_device import Backend
from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.frame import Frame
from keeprt.engine.pixels import Picture
from keeprt.engine.state import FaceState
from keeprt.kernels.frame import FrameFormat

BACKENDS = ("onnxruntime", *FLAVOURS)
Library = Backend | Engines


class Frames(Protocol):
    """The frames of stream mode, wherever they run."""

    @property
    def stage_seconds(self) -> dict[str, float]:
        """Seconds spent in each stage so far."""

    def new_state(self) -> FaceState:
        """The state of a face before its first frame."""

    def placed(self, states: Sequence[FaceState]) -> list[FaceState]:
        """The same states where these frames can work on them."""

    def check(self, face: Any) -> None:
        """Raises UsageError for what is no face."""

    def restore(
        self, windows: Sequence[int], faces: Sequence[Any], states: Sequence[FaceState]
    ) -> list[Picture]:
        """One frame of faces in the order of `FrameGraph.stream`."""

    def codes(self, faces: int) -> NDArray[np.int64]:
        """Codebook indices (faces, tokens) of the last frame."""


class VideoFrames(Protocol):
    """Whole frames, wherever they run."""

    @property
    def stage_seconds(self) -> dict[str, float]:
        """Seconds spent in each stage so far."""

    def new_state(self) -> FaceState:
        """The state of a face before its first frame."""

    def placed(self, states: Sequence[FaceState]) -> list[FaceState]:
        """The same states where these frames can work on them."""

    def restore_video(
        self, windows: Sequence[int], frame: Any, placements: Array, states: Sequence[FaceState]
    ) -> Any:
        """One frame with a placement and a state for each face."""


@dataclass(frozen=True)
class Place:
    """The card's number, and the caller's stream there if it has one."""

    device: int = 0
    stream: object | None = None


def open_library(
    bundle: Bundle,
    name: str,
    provider: str,
    threads: int | None,
    *,
    mode: str,
    faces: int,
    window: int,
    device: int = 0,
) -> Library:
    """The subgraphs, loaded into the inference library of that name, for at most so many faces.

    ONNX Runtime's CUDA provider runs mode "stream" on the card, and "clip" from host memory.

    Raises BackendError for what is missing on this machine, UsageError for other mistakes.
    """
    if (name, provider, mode) == ("onnxruntime", "cuda", "stream"):
        return OnnxRuntimeEngines(bundle, provider, device)
    if name == "onnxruntime":
        return OnnxRuntimeBackend(bundle, provider, threads)
    if name not in FLAVOURS:
        raise BackendError(f"unknown backend {name!r}; there are {', '.join(BACKENDS)}")
    if mode == "clip":
        raise UsageError(f"backend {name!r} runs mode 'stream'; 'clip' is for 'onnxruntime'")
    if provider != "cpu":
        raise UsageError(f"provider {provider!r} is one of onnxruntime; leave it out for {name!r}")
    from keeprt.engine.backends.tensorrt import TensorRtBackend

    return TensorRtBackend.for_frames(bundle, name, faces=faces, window=window, device=device)


def open_frames(
    bundle: Bundle, library: Library, place: Place, *, faces: int, window: int, eager: bool
) -> Frames:
    """Frames of stream mode on host memory or on the card, where the library works."""
    if not isinstance(library, Engines):
        if place != Place():
            raise UsageError("a device and a stream are for backends that run on a card")
        return Frame(bundle, library, faces=faces, window=window, eager=eager)
    from keeprt.engine.backends.cuda_restoring import CardFrames

    return CardFrames(
        bundle,
        library,
        faces=faces,
        window=window,
        device=place.device,
        stream=place.stream,
        eager=eager,
    )


def open_video_frames(
    bundle: Bundle,
    library: Library,
    place: Place,
    format: FrameFormat,
    *,
    faces: int,
    window: int,
    eager: bool,
) -> VideoFrames:
    """Whole frames of a format; where as `open_frames`."""
    if not isinstance(library, Engines):
        if place != Place():
            raise UsageError("a device and a stream are for backends that run on a card")
        return Frame(bundle, library, faces=faces, window=window, eager=eager, video=format)
    from keeprt.engine.backends.cuda_video import CardVideo

    return CardVideo(
        bundle,
        library,
        format,
        faces=faces,
        window=window,
        eager=eager,
        device_id=place.device,
        stream=place.stream,
    )
