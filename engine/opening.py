"""Which library and device a restorer's frames run on: the one place that knows them all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.devices.cpu.device import Backend
from keeprt.engine.devices.cpu.frames import CpuFrames
from keeprt.engine.devices.cuda.engines import Engines
from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.frame.buffers import Array
from keeprt.engine.frame.done import Done
from keeprt.engine.frame.times import FrameTimes
from keeprt.engine.libraries.onnxruntime.on_card import OnnxRuntimeEngines
from keeprt.engine.libraries.onnxruntime.sessions import OnnxRuntimeBackend
from keeprt.engine.libraries.tensorrt.flavours import FLAVOURS
from keeprt.engine.state import FaceState
from keeprt.kernels.frame import FrameFormat

BACKENDS = ("onnxruntime", *FLAVOURS)
Library = Backend | Engines


def on_a_card(backend: str, provider: str = "cpu") -> bool:
    """Whether a network of that library, and of ONNX Runtime's provider, runs on an NVIDIA card."""
    return backend in FLAVOURS or provider != "cpu"


class Frames(Protocol):
    """Frames with states of faces, wherever they run."""

    @property
    def card(self) -> int | None:
        """The number of the GPU that they run on, None for host memory."""

    @property
    def overlaps(self) -> bool:
        """Whether a frame's share runs beside the one before, so that two should be in flight."""

    @property
    def prepared(self) -> int:
        """Contexts made and graphs captured so far; frames are steady where it stays."""

    @property
    def stage_seconds(self) -> dict[str, float]:
        """Seconds spent in each stage so far."""

    def new_state(self) -> FaceState:
        """The state of a face before its first frame."""

    def placed(self, states: Sequence[FaceState]) -> list[FaceState]:
        """The same states where these frames can work on them."""

    def slot(self, state: FaceState) -> int:
        """The place of a placed state among others, by which rows of equal windows are ordered."""

    def collect(self) -> Done:
        """Waits for the oldest of the frames in flight, at most two. Raises UsageError."""

    def warm_up(self) -> float:
        """Runs every size of a frame once; gives the seconds that it took."""

    def close(self) -> None:
        """Gives back memory and sessions; states move to the host. Nothing may be asked of it
        afterwards."""


class FaceFrames(Frames, Protocol):
    """The frames of stream mode."""

    def check(self, face: Any) -> None:
        """Raises UsageError for what is no face."""

    def submit(self, faces: Sequence[Any], states: Sequence[FaceState]) -> None:
        """Starts a frame of faces in the order of `FaceList.stream`, with states placed."""

    def profiled(self) -> AbstractContextManager[list[FrameTimes]]:
        """See `Restorer.profiled`."""


class VideoFrames(Frames, Protocol):
    """Whole frames."""

    def submit_video(self, frame: Any, placements: Array, states: Sequence[FaceState]) -> None:
        """Starts a frame with a placement and a placed state for each face."""


@dataclass(frozen=True)
class DeviceChoice:
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
        return OnnxRuntimeBackend(bundle, provider, threads, device)
    if name not in FLAVOURS:
        raise BackendError(f"unknown backend {name!r}; there are {', '.join(BACKENDS)}")
    if mode == "clip":
        raise UsageError(f"backend {name!r} runs mode 'stream'; 'clip' is for 'onnxruntime'")
    if provider != "cpu":
        raise UsageError(f"provider {provider!r} is one of onnxruntime; leave it out for {name!r}")
    from keeprt.engine.libraries.tensorrt.run import TensorRtBackend

    return TensorRtBackend.for_frames(bundle, name, faces=faces, window=window, device=device)


def open_frames(
    bundle: Bundle, library: Library, choice: DeviceChoice, *, faces: int, window: int, eager: bool
) -> FaceFrames:
    """Frames of stream mode on host memory or on the card, where the library works."""
    if not isinstance(library, Engines):
        if choice != DeviceChoice():
            raise UsageError("a device and a stream are for backends that run on a card")
        return CpuFrames(bundle, library, faces=faces, window=window, eager=eager)
    from keeprt.engine.devices.cuda.frames import CudaFrames

    return CudaFrames(
        bundle,
        library,
        faces=faces,
        window=window,
        device_id=choice.device,
        stream=choice.stream,
        eager=eager,
    )


def open_video_frames(
    bundle: Bundle,
    library: Library,
    choice: DeviceChoice,
    format: FrameFormat,
    *,
    faces: int,
    window: int,
    eager: bool,
) -> VideoFrames:
    """Whole frames of a format; where as `open_frames`."""
    if not isinstance(library, Engines):
        if choice != DeviceChoice():
            raise UsageError("a device and a stream are for backends that run on a card")
        return CpuFrames(bundle, library, faces=faces, window=window, eager=eager, video=format)
    from keeprt.engine.devices.cuda.video import CardVideo

    return CardVideo(
        bundle,
        library,
        format,
        faces=faces,
        window=window,
        eager=eager,
        device_id=choice.device,
        stream=choice.stream,
    )
