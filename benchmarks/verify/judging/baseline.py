"""A run against an earlier one of the same weights, clip and mode; the bundle may be another export
of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from keeprt.benchmarks.verify.judging.judge import Criterion
from keeprt.benchmarks.verify.judging.thresholds import BaselineRule
from keeprt.benchmarks.verify.result import FrameRow, Result, load_result
from keeprt.engine.errors import UsageError

WORDS = {
    "weights_sha256": "of other weights",
    "mode": "of another mode",
    "window": "of another window",
    "chunk": "of another chunk",
    "clip": "of another clip",
    "clip_kind": "of another clip",
    "frames": "of another number of frames",
}


def load_baseline(path: Path, result: Result) -> Result:
    """An earlier result that this one can be compared with. Raises UsageError."""
    baseline = load_result(path)
    for name, words in WORDS.items():
        before, now = baseline.subject.get(name), result.subject.get(name)
        if before != now:
            raise UsageError(f"the baseline {path} is {words}: {name} is {before!r}, here {now!r}")
    if not baseline.complete:
        raise UsageError(f"the baseline {path} was interrupted; make it anew")
    return baseline


def check_face(baseline: Result, row: FrameRow) -> None:
    """Raises UsageError where a frame's face is not the baseline's."""
    if row.frame < len(baseline.frames):
        before = baseline.frames[row.frame]
        if before.face_sha256 != row.face_sha256:
            raise UsageError(
                f"the baseline is of another clip: its face of frame {row.frame} differs"
            )


def regressions(
    now: Sequence[Criterion], before: Sequence[Criterion], rule: BaselineRule
) -> list[Criterion]:
    """For each figure of both runs, whether it got worse by more than the rule allows."""
    earlier = {criterion.name: criterion for criterion in before if criterion.passed is not None}
    return [
        _compared(criterion, earlier[criterion.name], rule)
        for criterion in now
        if criterion.passed is not None
        and criterion.name in earlier
        and "drift" not in criterion.measure
        and "MB" not in criterion.measure
        and criterion.measure != "cosine"  # says the same as relative L2
    ]


def _compared(now: Criterion, before: Criterion, rule: BaselineRule) -> Criterion:
    limit = _limit(now.measure, before.value, rule)
    passed = now.value <= limit if now.at_most else now.value >= limit
    detail = f"baseline {before.value:.4g}"
    return replace(now, where=f"baseline: {now.where}", limit=limit, passed=passed, detail=detail)


def _limit(measure: str, before: float, rule: BaselineRule) -> float:
    """The worst value that is no regression of `before`."""
    if measure.startswith("PSNR"):
        return min(before - 20 * math.log10(rule.factor), rule.psnr_db_floor)
    if measure == "equal codes":
        return 1 - max(rule.factor * (1 - before), rule.unequal_codes_floor)
    floor = rule.gap_std_floor if measure.startswith("gap") else rule.relative_l2_floor
    return max(rule.factor * before, floor)
