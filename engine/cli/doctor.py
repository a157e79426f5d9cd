"""`keeprt doctor`: what this machine has and lacks."""

from __future__ import annotations

from dataclasses import asdict

import typer
from rich.table import Table
from rich.text import Text

from keeprt.engine.cli.options import network as n
from keeprt.engine.cli.options import results as r
from keeprt.engine.cli.terminal.console import alert, output
from keeprt.engine.doctor import Finding, examine, lacking
from keeprt.engine.summaries import write_summary
from keeprt.kernels.installing import without_place

STYLES = {"ok": "green", "missing": "red", "note": "yellow"}
EXIT_MISSING = 1


def doctor(
    backend: n.NeededBackend = None,
    json: r.Json = None,
    overwrite: r.Overwrite = False,
) -> None:
    """Show what each backend has and lacks on this machine.

    Driver, cards, inference libraries, face detector and video codecs.

    Exit code: 0; with --backend, 1 if that one cannot run here.

    Example: keeprt doctor --backend rtx
    """
    findings = examine()
    table = Table("", "", "found", "what to do")
    for finding in findings:
        state = Text(finding.state, STYLES[finding.state])
        table.add_row(finding.subject, state, finding.found, finding.remedy)
    output.print(table)
    missing = [] if backend is None else lacking(backend, findings)
    if json is not None:
        found = {"findings": [_public(one) for one in findings], "backend": backend}
        write_summary(json, "doctor", {**found, "lacking": [_public(one) for one in missing]})
    for one in missing:
        remedy = f"; {one.remedy}" if one.remedy else ""
        alert(f"{backend} cannot run here: {one.subject}: {one.found}{remedy}", style="red")
    if missing:
        raise typer.Exit(EXIT_MISSING)


def _public(finding: Finding) -> dict[str, str]:
    """For a file, which may leave the machine."""
    return {**asdict(finding), "remedy": without_place(finding.remedy)}
