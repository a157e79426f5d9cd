"""Verdicts as JUnit XML, in the form that CI systems read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from keeprt.benchmarks.whole_file import write_whole_in_new_folder

ROUNDED = 0.05  # of the gap between two numbers may be lost where both are shown


@dataclass(frozen=True)
class JUnitCase:
    """One criterion: what failed in a line, or why it was skipped, or what broke the run."""

    group: str
    name: str
    failure: str = ""
    skipped: str = ""
    error: str = ""
    detail: str = ""


def junit_xml(
    suite: str, cases: Iterable[JUnitCase], properties: Mapping[str, Any], seconds: float = 0.0
) -> str:
    """A `testsuites` document with one suite."""
    found = list(cases)
    counts = {
        "tests": str(len(found)),
        "failures": str(sum(bool(case.failure) for case in found)),
        "errors": str(sum(bool(case.error) for case in found)),
        "skipped": str(sum(bool(case.skipped) for case in found)),
        "time": f"{seconds:.3f}",
    }
    root = ET.Element("testsuites", {"name": suite, **counts})
    inner = ET.SubElement(root, "testsuite", {"name": suite, **counts})
    said = ET.SubElement(inner, "properties")
    for name, value in properties.items():
        ET.SubElement(said, "property", {"name": name, "value": str(value)})
    for case in found:
        _add(inner, case)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def write_junit_file(path: Path, text: str) -> None:
    """Writes the file whole or not at all. Raises UsageError."""
    write_whole_in_new_folder(path, text)


def apart(value: float, limit: float) -> tuple[str, str]:
    """Two numbers with as many digits as it takes to tell by how much they differ."""
    gap = abs(value - limit)
    texts = f"{value:.4g}", f"{limit:.4g}"
    for digits in range(5, 18):
        told = (abs(float(text) - exact) for text, exact in zip(texts, (value, limit), strict=True))
        if not gap or max(told) <= ROUNDED * gap:
            break
        texts = f"{value:.{digits}g}", f"{limit:.{digits}g}"
    return texts


def _add(suite: ET.Element, case: JUnitCase) -> None:
    attributes = {"classname": case.group, "name": case.name, "time": "0"}
    element = ET.SubElement(suite, "testcase", attributes)
    for kind, message in _outcomes(case):
        child = ET.SubElement(element, kind, {"message": message})
        if kind == "failure":
            child.text = case.detail or message


def _outcomes(case: JUnitCase) -> Sequence[tuple[str, str]]:
    told = (("skipped", case.skipped), ("failure", case.failure), ("error", case.error))
    return [(kind, message) for kind, message in told if message]
