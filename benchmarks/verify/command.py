"""What `keeprt verify` does, in order: check all input, measure, judge, write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from keeprt.benchmarks.precision.runs import Recorder
from keeprt.benchmarks.verify.conclusion import Outputs
from keeprt.benchmarks.verify.judging.baseline import check_face, load_baseline
from keeprt.benchmarks.verify.judging.judge import Verdict
from keeprt.benchmarks.verify.judging.thresholds import Thresholds, check_patterns, load_thresholds
from keeprt.benchmarks.verify.measuring.bisect import Departure, bisect
from keeprt.benchmarks.verify.measuring.faces import FaceSource
from keeprt.benchmarks.verify.measuring.marked import Opener, PlanOpener
from keeprt.benchmarks.verify.measuring.plan_bisect import PlanDeparture, bisect_plan
from keeprt.benchmarks.verify.measuring.repeats import distinct_answers
from keeprt.benchmarks.verify.measuring.run import Verification, Watchers, spread
from keeprt.benchmarks.verify.measuring.soak import there_and_back
from keeprt.benchmarks.verify.measuring.weights_check import check_weights
from keeprt.benchmarks.verify.pack import PACK_FRAMES, write_pack
from keeprt.benchmarks.verify.polygraphy_files import write_polygraphy
from keeprt.benchmarks.verify.result import FrameRow, Result
from keeprt.benchmarks.verify.subject import (
    PlansOnHost,
    check_run,
    judged_names,
    notes_of,
    open_backend,
    reference_of,
    subject_of,
)
from keeprt.engine.bundle.load import Bundle, load_bundle
from keeprt.engine.devices.cpu.device import Backend
from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.summaries import STDOUT
from keeprt.export.model import Keep


@dataclass(frozen=True)
class Request:
    """The options of one run. `soak`: so many frames, by `frames` of the clip there and back."""

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
    soak: int | None = None
    device: int = 0

    @property
    def total(self) -> int:
        """Frames that are restored."""
        return self.soak or self.frames


@dataclass
class Prepared:
    """A run whose input was found to be good."""

    request: Request
    outputs: Outputs
    bundle: Bundle
    network: Keep
    result: Result
    limits: Thresholds
    baseline: Result | None
    verification: Verification


def prepare(request: Request, outputs: Outputs) -> Prepared:
    """Loads and checks everything. Raises KeeprtError."""
    check_run(request.mode, request.window, request.chunk, request.frames, request.samples)
    bundle = load_bundle(request.bundle)
    clip, how = request.source.describe(), (request.mode, request.window, request.chunk)
    result = Result(
        subject_of(bundle, *how, clip, request.total),
        notes_of(bundle, request.backend, request.provider, request.threads),
        soak=request.soak is not None,
    )
    limits = load_thresholds(result.notes["precision"], outputs.thresholds)
    if outputs.thresholds is not None:
        check_patterns(limits, judged_names(bundle, request.window), outputs.thresholds)
    if outputs.pack is not None and request.mode != "stream":
        raise UsageError("--pack holds frames of stream mode: leave out --mode clip")
    baseline = load_baseline(outputs.baseline, result) if outputs.baseline else None
    if request.threads:
        torch.set_num_threads(request.threads)
    window = request.window if request.mode == "stream" else request.chunk + 1
    library = (request.backend, request.provider, request.threads)
    backend = open_backend(bundle, *library, window, request.device)
    network = reference_of(bundle, request.weights)
    verification = _verification(request, bundle, backend, network, result)
    verification.keep = PACK_FRAMES if outputs.pack is not None else 0
    return Prepared(request, outputs, bundle, network, result, limits, baseline, verification)


def measure(prepared: Prepared, on_frame: Callable[[], None] = lambda: None) -> None:
    """Runs both sides; after every frame what was measured so far is in the JSON file."""
    request, result, json = prepared.request, prepared.result, prepared.outputs.json
    folder = prepared.outputs.pictures

    def frame_done(row: FrameRow) -> None:
        if prepared.baseline:
            check_face(prepared.baseline, row)
        if json and str(json) != STDOUT:
            result.save(json)
        on_frame()

    prepared.verification.watchers = Watchers(
        frame_done, folder.save if folder else lambda pictures: None
    )
    faces = request.source.faces(request.frames, prepared.bundle.face_size)
    run, bundle = prepared.verification, prepared.bundle
    run.run(there_and_back(faces, request.total) if request.soak else faces)
    if len(result.frames) < 2:
        name = result.subject["clip"]
        raise UsageError(f"{name} has fewer than 2 frames with a face; nothing recurrent is tested")
    result.answers = distinct_answers(bundle, run.backend, run.tensors)
    result.weights = [asdict(check) for check in check_weights(bundle, prepared.network)]


def write_takeover(prepared: Prepared) -> list[str]:
    """The files that others go on with, as lines for the user. Raises UsageError."""
    outputs, run, said = prepared.outputs, prepared.verification, []
    if outputs.polygraphy is not None:
        write_polygraphy(outputs.polygraphy, prepared.bundle, run.tensors, prepared.limits)
        said.append(f"wrote tensors of {len(run.tensors)} subgraphs to {outputs.polygraphy}")
    if outputs.pack is not None:
        how = (prepared.result.subject, prepared.result.notes, outputs.thresholds)
        digest = write_pack(outputs.pack, prepared.bundle, run.kept, *how)
        said.append(
            f"wrote {outputs.pack} of {len(run.kept)} frames, SHA-256 of its header {digest}"
        )
    return said


def bisect_failures(
    prepared: Prepared, verdict: Verdict, say: Callable[[str], None] = lambda text: None
) -> list[str]:
    """Statements on the first layer that departs in each subgraph that failed.

    Of a plan its own layers; of ONNX Runtime the graph's, and where none departs by itself, those
    that the library fuses.
    """
    statements: list[str] = []
    failed = {criterion.where.partition(".")[0] for criterion in verdict.failed}
    for name in prepared.bundle.subgraphs:
        if name in failed and name in prepared.verification.worst_inputs:
            say(name)
            for found in _departures(prepared, name):
                told = asdict(found) | {"statement": found.statement()}
                prepared.result.bisected.append(told)
                statements.append(found.statement())
    return statements


def _departures(prepared: Prepared, name: str) -> Iterator[Departure | PlanDeparture]:
    bundle, network, threads = prepared.bundle, prepared.network, prepared.request.threads
    limit = prepared.limits.bisect_relative_l2
    inputs = prepared.verification.worst_inputs[name][1]
    library = prepared.verification.backend.library
    layers: dict[str, Any] = {}
    if isinstance(library, PlansOnHost):
        with suppress(BackendError):  # searched all the same, without their names
            layers = library.plans.layers(name)
    else:
        by_itself = bisect(bundle, network, name, inputs, limit, threads)
        if by_itself is not None:
            yield by_itself
            if by_itself.found:
                return
    opener = _opener(prepared.request, library)
    yield bisect_plan(bundle, network, name, inputs, limit, opener, layers=layers, threads=threads)


def _opener(request: Request, library: Backend) -> Opener:
    """What opens the library under test on another bundle."""
    if isinstance(library, PlansOnHost):
        return PlanOpener(request.backend, library.plans.profile, request.device)
    how = (request.backend, request.provider, request.threads, request.window, request.device)
    return lambda bundle: open_backend(bundle, *how)


def _verification(
    request: Request, bundle: Bundle, backend: Recorder, network: Keep, result: Result
) -> Verification:
    return Verification(
        bundle=bundle,
        backend=backend,
        network=network,
        result=result,
        window=request.window,
        chunk=request.chunk if request.mode == "clip" else None,
        samples=spread(request.samples, request.total),
        control=request.control,
    )
