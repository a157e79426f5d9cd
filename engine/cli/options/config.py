"""Options from a TOML file: `--config live.toml`, which the command line overrides.

The file's names are those of the options, with `-` or `_`; arguments have their own names. What it
gives counts as a default: it is checked as if it were typed, but refused nowhere for having no
effect.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

import typer

from keeprt.engine.errors import UsageError

NOT_IN_A_FILE = ("config", "check", "help")


def from_file(context: typer.Context, value: Path | None) -> Path | None:
    """What `--config` does before all other options are read. Raises UsageError."""
    if value is not None:
        known = [str(one.name) for one in context.command.params if one.name not in NOT_IN_A_FILE]
        context.default_map = {**(context.default_map or {}), **read(value, known)}
    return value


def read(path: Path, known: list[str]) -> dict[str, Any]:
    """The values of a file by parameter. Raises UsageError naming file and line or name."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"cannot read --config {path}: {why}") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"--config {path} is no TOML: {error}") from None
    return {_known(name, known, path): _plain(name, one, path) for name, one in values.items()}


def _known(name: str, known: list[str], path: Path) -> str:
    found = name.replace("-", "_")
    if found not in known:
        close = difflib.get_close_matches(found, known, 1)
        hint = f"did you mean {close[0]}?" if close else f"there is {', '.join(sorted(known))}"
        raise UsageError(f"--config {path}: no option {name!r}; {hint}")
    return found


def _plain(name: str, value: Any, path: Path) -> Any:
    if not isinstance(value, str | int | float):
        raise UsageError(f"--config {path}: {name} is no text, number, true or false")
    return value
