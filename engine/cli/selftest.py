"""`keeprt selftest`: first contact with a machine in one command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer

from keeprt.engine.bundle.load import load_bundle
from keeprt.engine.cli.options import network as n
from keeprt.engine.cli.options import results as r
from keeprt.engine.cli.terminal.console import console, output
from keeprt.engine.libraries.tensorrt.flavours import FLAVOURS
from keeprt.engine.opening import Library, open_library
from keeprt.engine.selftest.checks import Check, machine_checks, plan_check, require_card
from keeprt.engine.selftest.frames import LONG, WINDOW, card_checks, host_checks
from keeprt.engine.selftest.report import as_page, as_result
from keeprt.engine.summaries import write_summary, write_text

STYLES = {"passed": "green", "failed": "red", "not possible": "yellow"}


def selftest(
    bundle: n.TriedBundle = None,
    backend: n.TriedBackend = "rtx",
    device: n.TriedDevice = 0,
    frames: n.TriedFrames = LONG,
    report: r.SelftestPage = None,
    json: r.SelftestJson = None,
    overwrite: r.Overwrite = False,
) -> None:
    """Try driver, kernels, plans and frames on this machine.

    Says what could not be tried.

    Example: keeprt selftest --bundle bundle --report selftest.md
    """
    checks = []
    for check in _checks(bundle, backend, device, frames):
        console.print(f"{check.state:>12}", style=STYLES[check.state], end="", highlight=False)
        line = f"  {check.name}: {check.said}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
        checks.append(check)
    if report is not None:
        write_text(report, as_page(checks))
    if json is not None:
        write_summary(json, "selftest", as_result(checks))
    failed = sum(check.state == "failed" for check in checks)
    skipped = sum(check.state == "not possible" for check in checks)
    passed = len(checks) - failed - skipped
    output.print(f"{passed} passed, {failed} failed, {skipped} not possible on this machine")
    if failed:
        raise typer.Exit(1)


def _checks(path: Path | None, backend: str, device: int, frames: int) -> Iterator[Check]:
    yield from machine_checks(device)
    if path is None:
        return
    bundle = load_bundle(path)
    yield from host_checks(bundle)

    def library() -> Library:
        require_card()
        provider = "cuda" if backend == "onnxruntime" else "cpu"
        return open_library(
            bundle, backend, provider, None, mode="stream", faces=1, window=WINDOW, device=device
        )

    yield from card_checks(bundle, library, device, frames)
    if backend in FLAVOURS:
        yield plan_check(bundle.path, backend, device)
