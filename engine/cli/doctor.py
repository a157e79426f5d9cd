"""`keeprt doctor`: what this machine has and lacks."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from keeprt.engine.cli.console import output
from keeprt.engine.doctor import examine

STYLES = {"ok": "green", "missing": "red", "note": "yellow"}


def doctor() -> None:
    """Show driver, cards, inference libraries and video codecs, and what each backend lacks.

    Example: keeprt doctor
    """
    table = Table("", "", "found", "what to do")
    for finding in examine():
        state = f"[{STYLES[finding.state]}]{finding.state}[/]"
        table.add_row(finding.subject, state, escape(finding.found), escape(finding.remedy))
    output.print(table)
