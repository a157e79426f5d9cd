"""Rows and sentences of a verification, for the console and for the page alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from keeprt.benchmarks.verify.judging.judge import Verdict
from keeprt.benchmarks.verify.measuring.drift import before_first_flip, carried, drift_of
from keeprt.benchmarks.verify.measuring.errors import FrameError
from keeprt.benchmarks.verify.result import FrameRow, Result

RUNS: dict[str, Callable[[FrameRow], FrameError | None]] = {
    "free": lambda row: row.free,
    "synced": lambda row: row.synced,
    "forced": lambda row: row.forced,
    "control": lambda row: row.control,
}
MEANINGS = {
    "free": "each side goes on from its own past",
    "synced": "the same, but after a flipped code the reference's state is taken over",
    "forced": "sampled frames, each restored from the reference's state",
    "control": "the reference against itself, disturbed once by the runtime's first-frame error",
}


@dataclass(frozen=True)
class OutputRow:
    """One output over all samples; codes have no errors but a share and a gap."""

    name: str
    samples: int
    mean_l2: float | None
    worst_l2: float | None
    max_abs: float | None
    cosine: float | None
    equal_codes: float | None
    largest_gap: float | None


@dataclass(frozen=True)
class RunRow:
    """One of the runs over all its frames."""

    name: str
    frames: int
    equal_codes: float
    flips: int
    largest_gap: float
    same_frames: int
    worst_psnr_db: float | None
    worst_l2: float | None
    flow_px: float | None


def output_rows(result: Result) -> list[OutputRow]:
    """Every output of every subgraph on the reference's activations."""
    names = dict.fromkeys((output.subgraph, output.output) for output in result.outputs)
    rows = []
    for subgraph, name in names:
        found = [o for o in result.outputs if (o.subgraph, o.output) == (subgraph, name)]
        errors = [output.error for output in found if output.error]
        codes = [output.codes for output in found if output.codes]
        l2 = [error.relative_l2 for error in errors]
        rows.append(
            OutputRow(
                f"{subgraph}.{name}",
                len(found),
                sum(l2) / len(l2) if l2 else None,
                max(l2, default=None),
                max((error.max_abs for error in errors), default=None),
                min((error.cosine for error in errors), default=None),
                1 - sum(c.flips for c in codes) / sum(c.tokens for c in codes) if codes else None,
                max((c.largest_gap for c in codes), default=None),
            )
        )
    return rows


def run_rows(result: Result) -> list[RunRow]:
    """The end-to-end runs that took place."""
    rows = []
    for name, error_of in RUNS.items():
        errors = [error for row in result.frames if (error := error_of(row)) is not None]
        if not errors:
            continue
        same = [error for error in errors if not error.codes.flips]
        flips = sum(error.codes.flips for error in errors)
        rows.append(
            RunRow(
                name,
                len(errors),
                1 - flips / sum(error.codes.tokens for error in errors),
                flips,
                max(error.codes.largest_gap for error in errors),
                len(same),
                min((error.psnr_db for error in same), default=None),
                max((error.relative_l2 for error in same), default=None),
                max((e.flow_px for e in errors if e.flow_px is not None), default=None),
            )
        )
    return rows


def drift_sentences(result: Result) -> Iterator[str]:
    """What happens to the error over the run, in words."""
    rows, mode = result.frames, str(result.subject.get("mode", "stream"))
    for name in ("free", "control"):
        error_of = RUNS[name]
        if not rows or error_of(rows[-1]) is None:
            continue
        same = before_first_flip(rows, error_of)
        words = f"{name} ({MEANINGS[name]}): "
        if len(same) == len(rows):
            yield words + f"no code flips in {len(rows)} frames; {_trend(same, mode, name)}"
            continue
        first = rows[len(same)]
        flip = error_of(first)
        assert flip is not None
        yield words + (
            f"codes first differ at frame {first.frame} ({flip.codes.flips} of "
            f"{flip.codes.tokens}, gap of their two best logits {flip.codes.largest_gap:.2g} of "
            f"the logits' std); before that {_trend(same, mode, name)}. From there on the two "
            "sides restore different codes and are different trajectories, no rounding"
        )
    flipped = [row.synced for row in rows if row.synced.codes.flips]
    if len(before_first_flip(rows, RUNS["free"])) < len(rows):
        gap = max(error.codes.largest_gap for error in flipped)
        yield (
            f"synced ({MEANINGS['synced']}): codes flip in {len(flipped)} of {len(rows)} frames, "
            f"at gaps of at most {gap:.2g} of the logits' standard deviation; in the others "
            f"{drift_of(rows, mode, RUNS['synced']).statement()}"
        )
    if ratios := carried(rows):
        yield (
            f"what the past adds: at {len(ratios)} sampled frames the error is {min(ratios):.2f} "
            f"to {max(ratios):.2f} times that of the same frame from the reference's state"
        )


def _trend(rows: Sequence[FrameRow], mode: str, name: str) -> str:
    if name == "control":  # settles within frames from its one disturbance: a trend says little
        errors = [e.relative_l2 for row in rows if (e := RUNS[name](row)) is not None]
        return f"the error stays within {max(errors, default=0.0):.1e}"
    return drift_of(rows, mode, RUNS[name]).statement()


def headline(result: Result, verdict: Verdict) -> str:
    """The verdict in one line."""
    judged = [criterion for criterion in verdict.criteria if criterion.passed is not None]
    if not verdict.complete:
        wanted = result.subject.get("frames")
        return f"incomplete: {len(result.frames)} of {wanted} frames were measured"
    if verdict.passed:
        return f"passed: all {len(judged)} criteria hold over {len(result.frames)} frames"
    names = dict.fromkeys(criterion.where for criterion in verdict.failed)
    return f"failed: {len(verdict.failed)} of {len(judged)} criteria, in {', '.join(names)}"


def finite(value: float | None) -> float | None:
    """None for a value that is not finite: of a PSNR it means that nothing differs."""
    return value if value is not None and math.isfinite(value) else None
