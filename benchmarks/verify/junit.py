"""The verdict as JUnit XML, one test case per criterion."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from keeprt.benchmarks.verify.judge import Criterion, Verdict
from keeprt.benchmarks.verify.result import Result
from keeprt.benchmarks.whole_file import write_whole_in_new_folder


def junit_xml(result: Result, verdict: Verdict) -> str:
    """A `testsuites` document in the form that CI systems read."""
    criteria = verdict.criteria
    skipped = sum(criterion.passed is None for criterion in criteria)
    counts = {
        "tests": str(len(criteria) + 1),
        "failures": str(len(verdict.failed)),
        "errors": str(int(not verdict.complete)),
        "skipped": str(skipped),
        "time": f"{sum(result.seconds.values()):.3f}",
    }
    root = ET.Element("testsuites", {"name": "keeprt verify", **counts})
    suite = ET.SubElement(root, "testsuite", {"name": "keeprt verify", **counts})
    properties = ET.SubElement(suite, "properties")
    for name, value in {**result.subject, **result.notes}.items():
        ET.SubElement(properties, "property", {"name": name, "value": str(value)})
    run = ET.SubElement(suite, "testcase", _case("keeprt.verify.run", "all frames measured"))
    if not verdict.complete:
        ET.SubElement(run, "error", {"message": f"interrupted after {len(result.frames)} frames"})
    for criterion in criteria:
        _add(suite, criterion)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def write_junit(path: Path, result: Result, verdict: Verdict) -> None:
    """Writes the file whole or not at all. Raises UsageError."""
    write_whole_in_new_folder(path, junit_xml(result, verdict))


def _add(suite: ET.Element, criterion: Criterion) -> None:
    group, _, output = criterion.where.partition(".")
    name = f"{output} {criterion.measure}".strip()
    case = ET.SubElement(suite, "testcase", _case(f"keeprt.verify.{group}", name))
    sign = "at most" if criterion.at_most else "at least"
    text = f"{criterion.value:.4g}, {sign} {criterion.limit:.4g} is allowed"
    if criterion.passed is None:
        ET.SubElement(case, "skipped", {"message": criterion.detail})
    elif not criterion.passed:
        failure = ET.SubElement(case, "failure", {"message": f"{criterion.name}: {text}"})
        failure.text = criterion.detail or text


def _case(group: str, name: str) -> dict[str, str]:
    return {"classname": group, "name": name, "time": "0"}
