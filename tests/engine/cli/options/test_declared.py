"""Every option of every command is declared, and docs/options.md says the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from keeprt.engine.cli.app import app
from keeprt.engine.cli.options.declaration import DECLARED, Choice, Number, Whole
from keeprt.engine.cli.options.page import page

ROOT = Path(__file__).parents[4]
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def flags(command: Any) -> set[str]:
    found = set()
    for one in command.params:
        is_argument = one.param_type_name == "argument"
        found.add((one.metavar or one.name).strip("[]") if is_argument else one.opts[0])
    return found - {"--help"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_declared_for_its_command(name: str) -> None:
    declared = [one.flag for one in DECLARED if name in one.commands]
    assert len(declared) == len(set(declared)), "declared twice"
    assert set(declared) == flags(COMMANDS[name])


def test_the_page_is_made_from_the_declarations() -> None:
    made = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    assert made == page(), "python -m keeprt.engine.cli.options.page > docs/options.md"


@pytest.mark.parametrize("first", ["cli.export", "cli.options.results", "cli.verify"])
def test_the_order_is_the_same_whatever_is_loaded_first(first: str) -> None:
    """Seen: where another command was loaded before, `--json` was refused before OUT was."""
    code = (
        f"import keeprt.engine.{first}\n"
        "from keeprt.engine.cli.app import app\n"
        "from keeprt.engine.cli.options.page import page\n"
        "print(page(), end='')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode() == page()


@pytest.mark.parametrize(
    ("allowed", "inside", "outside"),
    [
        (Whole(2), [2, 99], [1, 0, -3]),
        (Whole(1, 4), [1, 4], [0, 5]),
        (Number(0, 1), [0, 0.5, 1], [-0.1, 1.1, float("nan"), float("inf")]),
        (Number(0, above=True), [0.1, 1e9], [0, -1, float("nan"), float("inf")]),
        (Choice(("a", "b")), ["a"], ["c", ""]),
    ],
)
def test_ranges(allowed: Any, inside: list[Any], outside: list[Any]) -> None:
    assert all(map(allowed.allows, inside)) and not any(map(allowed.allows, outside))
