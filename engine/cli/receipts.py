"""`--receipt` of `keeprt restore`: what a scheduler starts twice is done once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from keeprt.engine.archive.jobs import Job
from keeprt.engine.archive.one import Place, Row, Rules, restore_once
from keeprt.engine.archive.receipt import ReceiptFile
from keeprt.engine.archive.store import open_store
from keeprt.engine.cli.terminal.console import announce
from keeprt.engine.errors import MediaError, UsageError
from keeprt.engine.pipeline import Summary

#: Whoever starts the command counts its failures and decides when it is enough.
ATTEMPTS = 1 << 30


def with_receipt(
    file: Path,
    source: str | Path,
    out: Path,
    recipe: str,
    overwrite: bool,
    restore: Callable[[], Summary],
) -> None:
    """Runs `restore` and writes its receipt, unless the receipt says that this was done.

    What `restore` raises is raised, after it was written down.
    """
    receipt = ReceiptFile(open_store(file.absolute().parent), file.name)
    if receipt.exists() and receipt.read() is None:
        raise UsageError(f"--receipt {file.name} is there and is no receipt: give another name")
    raised: list[Exception] = []

    def do(_source: Path, _made: Path) -> Summary:
        try:
            return restore()
        except Exception as error:
            raised.append(error)
            raise

    rules = Rules(ATTEMPTS, retry_failed=True, overwrite=overwrite)
    row = restore_once(place_of(receipt, source, out), recipe, rules, do)
    if raised:
        raise raised[0]
    _say(row, out)


def place_of(receipt: ReceiptFile, source: str | Path, out: Path) -> Place:
    """Where one file comes from and goes to, by its path."""
    here, there = (Path(path).resolve() for path in (source, out))
    job = Job(here.name, there.name)
    return Place(open_store(here.parent), open_store(there.parent), job, receipt)


def _say(row: Row, out: Path) -> None:
    if row.status == "failed":
        raise MediaError(row.error)
    if row.status == "done before":
        announce(f"{out} was restored before: {row.frames} frames, nothing is left to do")
