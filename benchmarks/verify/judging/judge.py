"""From figures to a verdict: criteria, each with its value and limit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from keeprt.benchmarks.verify.judging.thresholds import Thresholds
from keeprt.benchmarks.verify.measuring.drift import drift_of
from keeprt.benchmarks.verify.measuring.errors import CodeError, FrameError
from keeprt.benchmarks.verify.measuring.soak import LARGEST_MB, slopes
from keeprt.benchmarks.verify.measuring.subgraph_errors import CODES, OutputError
from keeprt.benchmarks.verify.result import FrameRow, Result

# What the generator makes of the codes: comparable only where these are equal.
AFTER_CODES = ("restored", "cache_")


@dataclass(frozen=True)
class Criterion:
    """One figure against its limit.

    `where` is "subgraph.output", or a run ("synced", "forced"); `measure` says of what, `value`
    must not pass `limit` in the direction of `at_most`. `passed` None: nothing to judge, `detail`
    says why.
    """

    where: str
    measure: str
    value: float
    limit: float
    at_most: bool
    passed: bool | None
    detail: str = ""

    @property
    def name(self) -> str:
        """Words that identify it among all criteria."""
        return f"{self.where} {self.measure}"


@dataclass(frozen=True)
class Verdict:
    """All criteria; a run that did not end, or of which nothing could be judged, has not passed."""

    criteria: list[Criterion]
    complete: bool

    @property
    def failed(self) -> list[Criterion]:
        """Those that do not hold."""
        return [criterion for criterion in self.criteria if criterion.passed is False]

    @property
    def valid(self) -> bool:
        """Whether the run says anything: it ended, and something could be judged."""
        return self.complete and any(c.passed is not None for c in self.criteria)

    @property
    def passed(self) -> bool:
        """Whether all hold."""
        return self.complete and not self.failed and any(c.passed for c in self.criteria)

    def as_dict(self) -> dict[str, Any]:
        """As it stands in the JSON file."""
        return {"passed": self.passed, "criteria": [asdict(c) for c in self.criteria]}


def judge(result: Result, limits: Thresholds) -> Verdict:
    """Holds a result against the limits of its precision."""
    criteria = [*_subgraphs(result.outputs, limits)]
    criteria += _frames("synced", result.frames, lambda row: row.synced, limits)
    criteria += _frames("forced", result.frames, lambda row: row.forced, limits)
    criteria += _state(result.frames, limits)
    criteria.append(_drift(result, limits))
    criteria += _weights(result)
    if result.soak:
        criteria += _soak(result)
    return Verdict(criteria, result.complete)


def at_most(
    where: str, measure: str, values: Sequence[float], limit: float, why_none: str
) -> Criterion:
    """The largest of the values must not exceed the limit."""
    if not values:
        return Criterion(where, measure, 0.0, limit, True, None, why_none)
    return Criterion(where, measure, max(values), limit, True, max(values) <= limit)


def at_least(
    where: str, measure: str, values: Sequence[float], limit: float, why_none: str
) -> Criterion:
    """The smallest of the values must not be below the limit."""
    if not values:
        return Criterion(where, measure, 0.0, limit, False, None, why_none)
    return Criterion(where, measure, min(values), limit, False, min(values) >= limit)


def _subgraphs(outputs: Sequence[OutputError], limits: Thresholds) -> Iterator[Criterion]:
    by_name: dict[str, list[OutputError]] = {}
    for output in outputs:
        by_name.setdefault(f"{output.subgraph}.{output.output}", []).append(output)
    for name, rows in by_name.items():
        if rows[0].output == CODES:
            yield from _codes(name, [row.codes for row in rows if row.codes], limits)
            continue
        if rows[0].output.startswith(AFTER_CODES):
            rows = [row for row in rows if row.same_codes]
        errors = [row.error for row in rows if row.error]
        none = "a code flips in every sampled frame"
        worst = [error.relative_l2 for error in errors]
        yield at_most(name, "relative L2", worst, limits.largest_error(name), none)
        cosines = [error.cosine for error in errors]
        yield at_least(name, "cosine", cosines, limits.smallest_cosine(name), none)


def _codes(where: str, found: Sequence[CodeError], limits: Thresholds) -> Iterator[Criterion]:
    if not found:
        return
    equal = 1 - sum(codes.flips for codes in found) / sum(codes.tokens for codes in found)
    yield at_least(where, "equal codes", [equal], limits.equal_codes, "")
    gaps = [codes.largest_gap for codes in found]
    yield at_most(where, "gap of flips / std", gaps, limits.gap_std, "")


def _frames(
    run: str,
    rows: Sequence[FrameRow],
    error_of: Callable[[FrameRow], FrameError | None],
    limits: Thresholds,
) -> Iterator[Criterion]:
    errors = [error for row in rows if (error := error_of(row)) is not None]
    yield from _codes(run, [error.codes for error in errors], limits)
    psnr = [error.psnr_db for error in errors if not error.codes.flips]
    none = "a code flips in every frame"
    yield at_least(run, "PSNR where no code flips, dB", psnr, limits.psnr_db, none)


def _state(rows: Sequence[FrameRow], limits: Thresholds) -> Iterator[Criterion]:
    same = [row.synced.state for row in rows if not row.synced.codes.flips]
    for array in dict.fromkeys(name for state in same for name in state):
        where = f"state.{array}"
        worst = [state[array] for state in same if array in state]
        yield at_most(where, "relative L2", worst, limits.largest_error(where), "")


def _weights(result: Result) -> Iterator[Criterion]:
    for check in result.weights:
        where, found = f"{check['subgraph']}.weights", float(len(check["different"]))
        detail = ", ".join(f"{n} by {float(e):.1e}" for n, e in check["different"].items())
        yield Criterion(where, "tensors that differ", found, 0.0, True, found == 0, detail[:400])


def _soak(result: Result) -> Iterator[Criterion]:
    """Memory fails only where the whole interval of its slope is above the limit."""
    memory = slopes(result.frames)[1]
    passed = memory.low <= LARGEST_MB if memory.known else None
    value = memory.value if memory.known else 0.0
    measure = "memory, MB per 1000 frames"
    yield Criterion("soak", measure, value, LARGEST_MB, True, passed, memory.statement())


def _drift(result: Result, limits: Thresholds) -> Criterion:
    """Fails only where the whole interval of the trend is above the limit."""
    drift = drift_of(result.frames, result.subject.get("mode", "stream"), lambda row: row.synced)
    limit = limits.drift_decades_per_100_frames
    passed = None if not drift.known else drift.low <= limit
    value = drift.slope if math.isfinite(drift.slope) else 0.0
    measure = "drift, decades per 100 frames"
    return Criterion("synced", measure, value, limit, True, passed, drift.statement())
