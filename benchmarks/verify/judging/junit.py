"""The verdict as JUnit XML, one test case per criterion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from keeprt.benchmarks.junit import JUnitCase, apart, junit_xml, write_junit_file
from keeprt.benchmarks.verify.judging.judge import Criterion, Verdict
from keeprt.benchmarks.verify.result import Result


def write_junit(path: Path, result: Result, verdict: Verdict) -> None:
    """Writes the file whole or not at all. Raises UsageError."""
    write_junit_file(path, verdict_xml(result, verdict))


def verdict_xml(result: Result, verdict: Verdict) -> str:
    """The document's text."""
    about = {**result.subject, **result.notes}
    seconds = sum(result.seconds.values())
    return junit_xml("keeprt verify", _cases(result, verdict), about, seconds)


def broken_rule(criterion: Criterion) -> str:
    """What does not hold, in words in which value and limit differ."""
    value, limit = apart(criterion.value, criterion.limit)
    sign = "above the largest" if criterion.at_most else "below the smallest"
    return f"{criterion.name} is {value}, {sign} that is allowed, {limit}"


def _cases(result: Result, verdict: Verdict) -> Iterator[JUnitCase]:
    broken = "" if verdict.complete else f"interrupted after {len(result.frames)} frames"
    yield JUnitCase("keeprt.verify.run", "all frames measured", error=broken)
    for criterion in verdict.criteria:
        group, _, output = criterion.where.partition(".")
        failed = criterion.passed is False
        yield JUnitCase(
            f"keeprt.verify.{group}",
            f"{output} {criterion.measure}".strip(),
            failure=broken_rule(criterion) if failed else "",
            skipped=(criterion.detail or "nothing to judge") if criterion.passed is None else "",
            detail=criterion.detail,
        )
