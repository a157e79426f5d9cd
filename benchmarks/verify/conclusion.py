"""From a result to a verdict and the files that hold it; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from keeprt.benchmarks.verify.console import console_tables, sentences
from keeprt.benchmarks.verify.judging.baseline import load_baseline, regressions
from keeprt.benchmarks.verify.judging.judge import Verdict, judge
from keeprt.benchmarks.verify.judging.junit import write_junit
from keeprt.benchmarks.verify.judging.thresholds import Thresholds, check_patterns, load_thresholds
from keeprt.benchmarks.verify.measuring.pictures import PictureFolder
from keeprt.benchmarks.verify.page import write_page
from keeprt.benchmarks.verify.result import Result, load_result
from keeprt.benchmarks.verify.tables import headline

__all__ = [
    "Outputs",
    "PictureFolder",
    "conclude",
    "console_tables",
    "headline",
    "judge",
    "reopen",
    "sentences",
]


@dataclass(frozen=True)
class Outputs:
    """Where results go, what they are held against, and where the pictures of the run are.

    `polygraphy` is a folder for each subgraph's tensors, `pack` the golden pack that is made.
    """

    thresholds: Path | None = None
    baseline: Path | None = None
    json: Path | None = None
    junit: Path | None = None
    report: Path | None = None
    pictures: PictureFolder | None = None
    polygraphy: Path | None = None
    pack: Path | None = None


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
    result = load_result(path)
    limits = load_thresholds(str(result.notes.get("precision")), outputs.thresholds)
    if outputs.thresholds is not None:
        check_patterns(limits, measured_names(result), outputs.thresholds)
    baseline = load_baseline(outputs.baseline, result) if outputs.baseline else None
    return result, limits, baseline


def measured_names(result: Result) -> list[str]:
    """All that a pattern of limits can be of: "subgraph.output" and "state.array"."""
    outputs = [f"{one.subgraph}.{one.output}" for one in result.outputs]
    state = [f"state.{name}" for row in result.frames for name in row.synced.state]
    return list(dict.fromkeys([*outputs, *state]))
