"""Compiled kernels on disk: named by what they were made of, verified on reading."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

import platformdirs

MAGIC = b"keeprt cubin 1\n"


def default_folder() -> Path:
    """The user's cache folder for cubins; it may not be there yet."""
    return Path(platformdirs.user_cache_dir("keeprt", appauthor=False)) / "kernels"


def key_of(*parts: bytes) -> str:
    """A hash of the parts, in which the border between two parts counts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def read(path: Path) -> tuple[bytes, str] | None:
    """The cubin and the compiler's log; None when the file is missing or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    header, _, body = content[len(MAGIC) :].partition(b"\n")
    try:
        fields = json.loads(header)
        expected, log = fields["sha256"], fields["log"]
    except (ValueError, KeyError, TypeError):
        return None
    if not content.startswith(MAGIC) or _digest(body, log) != expected:
        return None
    return body, str(log)


def write(path: Path, cubin: bytes, log: str) -> None:
    """Write so that a reader sees the whole file or none, whoever else writes the same one.

    A cache that cannot be written is no reason to stop: the kernels are compiled again next time.
    """
    header = json.dumps({"sha256": _digest(cubin, log), "log": log}).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(MAGIC + header + b"\n" + cubin)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)


def _digest(cubin: bytes, log: str) -> str:
    return key_of(cubin, str(log).encode())
