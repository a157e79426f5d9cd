"""`keeprt verify BUNDLE --pack FILE`: a golden pack judges a bundle or a plan, without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from keeprt.benchmarks.verify.conclusion import Outputs
from keeprt.benchmarks.verify.judging.thresholds import Thresholds, load_thresholds
from keeprt.benchmarks.verify.measuring.repeats import distinct_answers
from keeprt.benchmarks.verify.measuring.run import Verification, Watchers, spread
from keeprt.benchmarks.verify.pack import StoredReference, read_pack
from keeprt.benchmarks.verify.result import Result
from keeprt.benchmarks.verify.subject import notes_of, open_backend
from keeprt.engine.bundle.load import load_bundle


@dataclass(frozen=True)
class Runtime:
    """What is judged: the library and where it computes."""

    backend: str
    provider: str
    threads: int | None
    device: int = 0


def judge_by_pack(
    path: Path,
    bundle_path: Path,
    runtime: Runtime,
    outputs: Outputs,
    on_frame: Callable[[], None] = lambda: None,
) -> tuple[Result, Thresholds]:
    """Runs the frames of a pack. Raises UsageError for a pack that was changed or is of another
    network, BundleError, BackendError."""
    pack, bundle = read_pack(path), load_bundle(bundle_path)
    pack.check(bundle)
    how = (runtime.backend, runtime.provider, runtime.threads)
    result = Result(
        {**pack.subject, "bundle_sha256": bundle.identity},
        {**notes_of(bundle, *how), "pack": path.name, "pack_sha256": pack.digest},
    )
    precision = str(result.notes["precision"])
    named = outputs.thresholds
    limits = load_thresholds(precision, named) if named else pack.limits(precision)
    window = int(pack.subject["window"])
    run = Verification(
        bundle=bundle,
        backend=open_backend(bundle, *how, window, runtime.device),
        network=None,
        result=result,
        window=window,
        chunk=None,
        samples=spread(len(pack.frames), len(pack.frames)),
        stored=StoredReference(pack.frames),
        watchers=Watchers(
            lambda row: on_frame(),
            outputs.pictures.save if outputs.pictures else lambda pictures: None,
        ),
    )
    run.run(frame.face for frame in pack.frames)
    result.answers = distinct_answers(bundle, run.backend, run.tensors)
    return result, limits
