"""Results that stand under their name only when they are whole."""

from __future__ import annotations

from pathlib import Path

from keeprt.engine.errors import UsageError
from keeprt.engine.libraries.tensorrt.plan_store import write_atomically


def write_whole(path: Path, text: str) -> None:
    """Writes a text file whole or not at all. Raises UsageError."""
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def write_whole_in_new_folder(path: Path, text: str) -> None:
    """The same where the folder may be missing."""
    make_folder_of(path)
    write_whole(path, text)


def make_folder_of(path: Path) -> None:
    """The folder that a file will lie in. Raises UsageError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
