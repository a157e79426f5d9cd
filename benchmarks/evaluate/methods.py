"""The ways in which a degraded clip is restored, ours and the baselines, behind one signature."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import cv2

from keeprt.benchmarks.evaluate.clips import SharpClip
from keeprt.engine.bundle.load import Bundle
from keeprt.engine.errors import UsageError
from keeprt.engine.libraries.onnxruntime.sessions import OnnxRuntimeBackend
from keeprt.engine.pipeline.aligned_clip import restored_faces
from keeprt.engine.restorer import DEFAULT_CHUNK, DEFAULT_WINDOW, Restorer
from keeprt.export.training.degradation import Degradation, Frame, degrade_small, enlarge

BASELINES = ("degraded", "bicubic")
OURS = ("per-frame", "stream", "clip")


@dataclass(frozen=True)
class DegradedClip:
    """small: as the poor file holds the frames, r times smaller. input: those enlarged linearly
    (Eq. 9), which is what networks see."""

    small: list[Frame]
    input: list[Frame]

    @classmethod
    def make(cls, clip: SharpClip, degradation: Degradation) -> DegradedClip:
        """The clip made poor."""
        height, width = clip.frames[0].shape[:2]
        small = degrade_small(clip.frames, degradation, clip.rate)
        return cls(small, [enlarge(f, (width, height), cv2.INTER_LINEAR) for f in small])


@dataclass(frozen=True)
class Method:
    """One row of the tables. restore: as many frames out as the clip has, one after the other."""

    name: str
    meaning: str
    restore: Callable[[DegradedClip], Iterator[Frame]]


def baselines() -> list[Method]:
    """What needs no network: the degraded input itself, and the poor file enlarged bicubically."""

    def bicubic(clip: DegradedClip) -> Iterator[Frame]:
        height, width = clip.input[0].shape[:2]
        for frame in clip.small:
            yield enlarge(frame, (width, height), cv2.INTER_CUBIC)

    return [
        Method("degraded", "the degraded input, enlarged linearly", lambda clip: iter(clip.input)),
        Method("bicubic", "the degraded frames, enlarged bicubically", bicubic),
    ]


def our_methods(
    bundle: Bundle,
    *,
    names: Sequence[str] = OURS,
    provider: str = "cpu",
    threads: int | None = None,
    device: int = 0,
    window: int = DEFAULT_WINDOW,
    chunk: int = DEFAULT_CHUNK,
) -> list[Method]:
    """One bundle's network in several ways, its weights loaded once."""
    unknown = [name for name in names if name not in OURS]
    if unknown:
        raise UsageError(f"unknown method {unknown[0]!r}; choose {', '.join((*BASELINES, *OURS))}")
    if not names:
        return []
    sessions = OnnxRuntimeBackend(bundle, provider, threads, device)
    methods = {}
    if {"per-frame", "stream"} & set(names):
        stream = Restorer(bundle, sessions, mode="stream", window=window)
        methods["per-frame"] = Method(
            "per-frame", "KEEP without Kalman network and CFA", partial(per_frame, stream)
        )
        methods["stream"] = Method(
            "stream", f"KEEP, stream, window {window}", partial(_restored, stream)
        )
    if "clip" in names:
        whole = Restorer(bundle, sessions, mode="clip", chunk=chunk)
        methods["clip"] = Method(
            "clip", f"KEEP as released, clips of {chunk}", partial(_restored, whole)
        )
    return [methods[name] for name in names]


def per_frame(restorer: Restorer, clip: DegradedClip) -> Iterator[Frame]:
    """Every frame as the first of a new face: CodeFormer's way, with the same weights.

    Exact, not an approximation: a first frame uses neither the flow, nor the high-quality encoder,
    nor cross-frame attention, and its latent is the observed one (docs/model.md,
    section 3), which is the network without the Kalman network and CFA.
    """
    state = restorer.new_state()
    for face in clip.input:
        restored, state = restorer.restore(face, state.reset())
        yield restored


def _restored(restorer: Restorer, clip: DegradedClip) -> Iterator[Frame]:
    return restored_faces(clip.input, restorer)
