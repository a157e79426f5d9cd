"""Receipts: what was done with a file, beside its output, so that a rerun does only the rest."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from keeprt.engine.archive.store import Store, Version

FORMAT, FORMAT_VERSION = "keeprt-receipt", 1

Status = Literal["started", "done", "failed"]
Verdict = Literal["restore", "skip", "given up"]


@dataclass(frozen=True)
class Output:
    """A finished output: its content, what was found in it, and what it does not keep."""

    version: Version
    sha256: str
    frames: int
    tracks: int
    restored_faces: int
    seconds: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Receipt:
    """The state of one file: which recipe met which source, how often, and what came of it.

    "started" is written before the work, so that an attempt whose process died is counted, and an
    output without a later receipt is known to be ours.
    """

    status: Status
    recipe: str
    source: Version
    attempts: int
    output: Output | None = None
    error: str = ""

    def to_json(self) -> bytes:
        """The receipt as it is stored."""
        content = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(self)}
        return (json.dumps(content, indent=1) + "\n").encode()


@dataclass(frozen=True)
class ReceiptFile:
    """Where a receipt lies."""

    store: Store
    name: str

    def read(self) -> Receipt | None:
        """The receipt, None where there is none or it cannot be understood."""
        text = self.store.read(self.name)
        if text is None:
            return None
        try:
            return _receipt_from(json.loads(text))
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    def write(self, receipt: Receipt) -> None:
        """Writes it, whole or not at all."""
        self.store.write(self.name, receipt.to_json())

    def put_back(self, before: Receipt | None) -> None:
        """Makes it what it was."""
        if before is None:
            self.store.remove(self.name)
        else:
            self.write(before)

    def exists(self) -> bool:
        """Whether there is a file, whatever it holds."""
        return self.store.version(self.name) is not None


def receipt_name(output: str) -> str:
    """Where the receipt of an output lies: hidden, beside it."""
    path = PurePosixPath(output)
    return str(path.with_name(f".{path.name}.keeprt.json"))


def receipt_of(store: Store, output: str) -> ReceiptFile:
    """The receipt beside an output."""
    return ReceiptFile(store, receipt_name(output))


def decide(
    receipt: Receipt | None,
    recipe: str,
    source: Version,
    output: Version | None,
    *,
    attempts: int,
    retry_failed: bool,
) -> Verdict:
    """What to do with a file: it is skipped only where its receipt fits all that is there now.

    "given up": it failed before, or `attempts` processes died of it, with this very recipe.
    """
    if receipt is None or (receipt.recipe, receipt.source) != (recipe, source):
        return "restore"
    if receipt.status == "done":
        whole = receipt.output is not None and output == receipt.output.version
        return "skip" if whole else "restore"
    tried = receipt.status == "failed" or receipt.attempts >= attempts
    return "given up" if tried and not retry_failed else "restore"


def _receipt_from(content: dict[str, Any]) -> Receipt:
    if (content["format"], content["format_version"]) != (FORMAT, FORMAT_VERSION):
        raise ValueError("another format")
    if content["status"] not in ("started", "done", "failed"):
        raise ValueError("unknown status")
    return Receipt(
        content["status"],
        content["recipe"],
        Version(**content["source"]),
        int(content["attempts"]),
        _output_from(content["output"]),
        content["error"],
    )


def _output_from(made: dict[str, Any] | None) -> Output | None:
    if made is None:
        return None
    warnings = tuple(map(str, made.get("warnings", ())))
    return Output(**{**made, "version": Version(**made["version"]), "warnings": warnings})
