"""What `keeprt verify` does, in order: check all input, measure, judge, write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from keeprt.benchmarks.precision_runs import Recorder
from keeprt.benchmarks.verify.baseline import check_face, load_baseline, regressions
from keeprt.benchmarks.verify.bisect import bisect
from keeprt.benchmarks.verify.console import bisect_sentences, console_tables
from keeprt.benchmarks.verify.faces import FaceSource
from keeprt.benchmarks.verify.judge import Verdict, judge
from keeprt.benchmarks.verify.junit import write_junit
from keeprt.benchmarks.verify.page import write_page
from keeprt.benchmarks.verify.pictures import PictureFolder
from keeprt.benchmarks.verify.result import FrameRow, Result, load_result
from keeprt.benchmarks.verify.run import Verification, Watchers, spread
from keeprt.benchmarks.verify.subject import (
    check_run,
    notes_of,
    open_backend,
    reference_of,
    subject_of,
)
from keeprt.benchmarks.verify.tables import drift_sentences, headline
from keeprt.benchmarks.verify.thresholds import Thresholds, load_thresholds
from keeprt.engine.bundle import Bundle, load_bundle
from keeprt.engine.errors import UsageError
from keeprt.export.model import Keep

__all__ = [
    "FaceSource",
    "Outputs",
    "PictureFolder",
    "Request",
    "bisect_failures",
    "bisect_sentences",
    "conclude",
    "console_tables",
    "drift_sentences",
    "headline",
    "judge",
    "measure",
    "prepare",
    "reopen",
]


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


@dataclass(frozen=True)
class Outputs:
    """Where results go, what they are held against, and where the pictures of the run are."""

    thresholds: Path | None = None
    baseline: Path | None = None
    json: Path | None = None
    junit: Path | None = None
    report: Path | None = None
    pictures: PictureFolder | None = None

    def check(self) -> None:
        """Raises UsageError for a file that cannot be written, before half an hour is spent."""
        for path in (self.json, self.junit, self.report):
            if path is not None and (path.is_dir() or not _writable(path.parent)):
                raise UsageError(f"cannot write {path}: it is a folder, or its folder is a file")


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
    outputs.check()
    bundle = load_bundle(request.bundle)
    clip, how = request.source.describe(), (request.mode, request.window, request.chunk)
    result = Result(
        subject_of(bundle, *how, clip, request.frames),
        notes_of(bundle, request.backend, request.provider, request.threads),
    )
    limits = load_thresholds(result.notes["precision"], outputs.thresholds)
    baseline = load_baseline(outputs.baseline, result) if outputs.baseline else None
    if request.threads:
        torch.set_num_threads(request.threads)
    window = request.window if request.mode == "stream" else request.chunk + 1
    backend = open_backend(bundle, request.backend, request.provider, request.threads, window)
    network = reference_of(bundle, request.weights)
    verification = _verification(request, bundle, backend, network, result)
    return Prepared(request, outputs, bundle, network, result, limits, baseline, verification)


def measure(prepared: Prepared, on_frame: Callable[[], None] = lambda: None) -> None:
    """Runs both sides; after every frame what was measured so far is in the JSON file."""
    request, result, json = prepared.request, prepared.result, prepared.outputs.json
    folder = prepared.outputs.pictures

    def frame_done(row: FrameRow) -> None:
        if prepared.baseline:
            check_face(prepared.baseline, row)
        if json:
            result.save(json)
        on_frame()

    prepared.verification.watchers = Watchers(
        frame_done, folder.save if folder else lambda pictures: None
    )
    prepared.verification.run(request.source.faces(request.frames, prepared.bundle.face_size))
    if len(result.frames) < 2:
        name = result.subject["clip"]
        raise UsageError(f"{name} has fewer than 2 frames with a face; nothing recurrent is tested")


def bisect_failures(
    prepared: Prepared, verdict: Verdict, say: Callable[[str], None] = lambda text: None
) -> list[str]:
    """Statements on the first layer that departs in each subgraph that failed."""
    statements = []
    worst, bundle = prepared.verification.worst_inputs, prepared.bundle
    failed = {criterion.where.partition(".")[0] for criterion in verdict.failed}
    for name in bundle.subgraphs:
        if name in failed and name in worst:
            say(name)
            limit, threads = prepared.limits.bisect_relative_l2, prepared.request.threads
            found = bisect(bundle, prepared.network, name, worst[name][1], limit, threads)
            if found is None:
                statements.append(
                    f"{name}: no layer of the bundle's graph has the reference's name"
                )
                continue
            prepared.result.bisected.append(asdict(found) | {"statement": found.statement()})
            statements.append(found.statement())
    return statements


def conclude(
    result: Result, limits: Thresholds, baseline: Result | None, outputs: Outputs
) -> Verdict:
    """The verdict on a result, written to every file that was asked for."""
    verdict = judge(result, limits)
    if baseline is not None:
        before = judge(baseline, limits).criteria
        found = regressions(verdict.criteria, before, limits.baseline)
        verdict = Verdict([*verdict.criteria, *found], verdict.complete)
    if outputs.json:
        result.save(outputs.json, verdict.as_dict())
    if outputs.junit:
        write_junit(outputs.junit, result, verdict)
    if outputs.report:
        write_page(outputs.report, result, verdict, limits, outputs.pictures)
    return verdict


def reopen(path: Path, outputs: Outputs) -> tuple[Result, Thresholds, Result | None]:
    """An earlier result with what it is held against now. Raises UsageError."""
    outputs.check()
    result = load_result(path)
    limits = load_thresholds(str(result.notes.get("precision")), outputs.thresholds)
    baseline = load_baseline(outputs.baseline, result) if outputs.baseline else None
    return result, limits, baseline


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
        samples=spread(request.samples, request.frames),
        control=request.control,
    )


def _writable(folder: Path) -> bool:
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return existing.is_dir()
