"""What `keeprt verify` does, in order: check all input, measure, judge, write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from keeprt.benchmarks.precision_runs import Recorder
from keeprt.benchmarks.verify.faces import FaceSource
from keeprt.benchmarks.verify.pictures import PictureFolder
from keeprt.benchmarks.verify.result import Result
from keeprt.benchmarks.verify.run import Verification, Watchers, spread
from keeprt.benchmarks.verify.subject import (
    check_run,
    notes_of,
    open_backend,
    reference_of,
    subject_of,
)
from keeprt.engine.bundle import Bundle, load_bundle
from keeprt.engine.errors import UsageError
from keeprt.export.model import Keep


@dataclass(frozen=True)
class Request:
    """The options of one run."""

    bundle: Path
    source: FaceSource
    frames: int
    samples: int
    control: bool
    weights: str | None
    mode: str
    window: int
    chunk: int
    backend: str
    provider: str
    threads: int | None
    json: Path | None


@dataclass
class Prepared:
    """A run whose input was found to be good."""

    request: Request
    bundle: Bundle
    network: Keep
    backend: Recorder
    result: Result


def prepare(request: Request) -> Prepared:
    """Loads and checks everything. Raises KeeprtError."""
    check_run(request.mode, request.window, request.chunk, request.frames, request.samples)
    bundle = load_bundle(request.bundle)
    if request.threads:
        torch.set_num_threads(request.threads)
    backend = open_backend(bundle, request.backend, request.provider, request.threads)
    network = reference_of(bundle, request.weights)
    subject = subject_of(
        bundle,
        request.mode,
        request.window,
        request.chunk,
        request.source.describe(),
        request.frames,
    )
    notes = notes_of(bundle, request.backend, request.provider, request.threads)
    return Prepared(request, bundle, network, backend, Result(subject, notes))


def measure(prepared: Prepared, on_frame: Callable[[], None] = lambda: None) -> Verification:
    """Runs both sides; after every frame what was measured so far is in the JSON file."""
    request, result = prepared.request, prepared.result
    pictures = PictureFolder.beside(request.json) if request.json else None

    def frame_done() -> None:
        on_frame()
        if request.json:
            result.save(request.json)

    watchers = Watchers(frame_done, pictures.save if pictures else lambda kept: None)
    verification = Verification(
        bundle=prepared.bundle,
        backend=prepared.backend,
        network=prepared.network,
        result=result,
        window=request.window,
        chunk=request.chunk if request.mode == "clip" else None,
        samples=spread(request.samples, request.frames),
        control=request.control,
        watchers=watchers,
    )
    verification.run(request.source.faces(request.frames, prepared.bundle.face_size))
    if len(result.frames) < 2:
        raise UsageError(f"{request.source.describe()['name']} has fewer than 2 frames with a face")
    if request.json:
        result.save(request.json)
    return verification
