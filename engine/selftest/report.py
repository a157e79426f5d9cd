"""What a self-test found, as JSON and as a page that can be sent back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from keeprt.engine.selftest.checks import Check


def as_result(checks: Sequence[Check]) -> dict[str, Any]:
    """All checks with their figures, for the envelope of a summary."""
    return {"checks": [asdict(check) for check in checks]}


def as_page(checks: Sequence[Check]) -> str:
    """The same in Markdown: a table, then the figures of each check."""
    lines = ["# keeprt selftest", "", "| check | result | |", "| --- | --- | --- |"]
    lines += [f"| {c.name} | {c.state} | {c.said.replace('|', '/')} |" for c in checks]
    for check in checks:
        if check.figures:
            lines += ["", f"## {check.name}", ""]
            lines += [f"- {name}: {value}" for name, value in check.figures.items()]
    return "\n".join(lines) + "\n"
