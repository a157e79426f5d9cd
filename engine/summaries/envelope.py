"""The one envelope of every JSON file that a command writes: what it is, of when, of which machine.

{"format": "keeprt-restore", "version": "0.1.0", "date": "2030-01-02T03:04:05+00:00",
 "machine": {...}, "command": "keeprt restore in.mp4 out.mp4", "result": {...}}
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

from keeprt.engine.devices.cuda.driver import find_driver
from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.libraries.tensorrt.plan_store import write_atomically
from keeprt.engine.media.errors import display_name, redact

#: In place of a file's name: the summary goes to stdout.
STDOUT = "-"
# Of what is installed, all that computes, decodes or drives a card.
LIBRARIES = re.compile(
    r"keeprt|numpy|scipy|av|onnx|onnxruntime(-\w+)*|torch|triton|opencv-python(-headless)?"
    r"|tensorrt([-_]\w+)*|cuda-(core|bindings)|nvidia-(ml-py|cuda-nvrtc|cuda-runtime|cudnn-\w+)"
    r"|polygraphy",
    re.IGNORECASE,
)


def envelope(
    name: str, result: Mapping[str, Any], command: str | None = None, machine: Any = None
) -> dict[str, Any]:
    """A summary of the command `name`; `command` as typed and `machine` as found, unless given."""
    return {
        "format": f"keeprt-{name}",
        "version": version("keeprt"),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": dict(machine or this_machine()),
        "command": public_command(sys.argv[1:]) if command is None else command,
        "result": spelled(result),
    }


def as_text(content: Mapping[str, Any]) -> str:
    """The text of a JSON file."""
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_summary(target: Path | str, name: str, result: Mapping[str, Any]) -> None:
    """Writes the summary of the command `name` to a file, whole or not at all, or to stdout.

    Raises UsageError where the file cannot be written.
    """
    write_text(target, as_text(envelope(name, result)))


def write_text(target: Path | str, text: str) -> None:
    """Writes a text file whole or not at all; `-` is stdout. Raises UsageError."""
    # A name on disk need not be UTF-8; what JSON escapes so is read back as it was.
    content = text.encode(errors="backslashreplace")
    if str(target) == STDOUT:
        _write_stdout(content)
        return
    path = Path(target)
    try:
        write_atomically(path, content)
    except OSError as error:
        raise UsageError(f"cannot write {display_name(path)}: {error.strerror}") from None


def _write_stdout(content: bytes) -> None:
    """In UTF-8, whatever the terminal's encoding: JSON has no other."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise UsageError(f"cannot write to stdout: {error.strerror}") from None


def opened(content: Any, name: str) -> Any:
    """What is inside the envelope of the command `name`; content of before there was one is given
    back as it is, as is anything else."""
    if (
        isinstance(content, dict)
        and content.get("format") == f"keeprt-{name}"
        and isinstance(content.get("result"), dict)
    ):
        return content["result"]
    return content


def public_command(arguments: Sequence[str]) -> str:
    """The command line without the places of this machine's files, and without credentials."""
    return shlex.join(["keeprt", *map(_public, arguments)])


def _public(argument: str) -> str:
    if "://" in argument:
        return redact(argument)
    name, equals, value = argument.partition("=")
    if equals and os.sep not in name and "/" not in name:
        return f"{name}={_public(value)}"
    return Path(argument).name if "/" in argument or os.sep in argument else argument


def spelled(value: Any) -> Any:
    """The same with what JSON does not know in words: infinity, and Path."""
    if isinstance(value, Mapping):
        return {str(name): spelled(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [spelled(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value.name if isinstance(value, Path) else value


@lru_cache(maxsize=1)
def this_machine() -> dict[str, str]:
    """Processor, memory, system, card and libraries; nothing of the machine's name or paths."""
    facts = {
        "CPU": cpu_model(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "GPU": _cards(),
    }
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        facts["memory"] = f"{size / 2**30:.0f} GiB"
    return facts | library_versions()


@lru_cache(maxsize=1)
def library_versions() -> dict[str, str]:
    """Every installed library that figures depend on, by name, with its version."""
    found = {
        name.lower().replace("_", "-"): distribution.version
        for distribution in distributions()
        if (name := distribution.metadata["Name"]) and LIBRARIES.fullmatch(name)
    }
    return dict(sorted(found.items()))


def cpu_model() -> str:
    """The processor's name as the system has it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cards() -> str:
    try:
        cards = find_driver().cards
    except BackendError:
        return "none"
    return ", ".join(card.name for card in cards) or "none"
