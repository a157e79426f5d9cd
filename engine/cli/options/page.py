"""docs/options.md, made from the declarations: `python -m keeprt.engine.cli.options.page`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from keeprt.engine.cli.options.check import CRF_RANGES
from keeprt.engine.cli.options.declaration import DECLARED, Declared

INTRODUCTION = """# Every option of every command

Made from the declarations in `engine/cli/options/` by
`python -m keeprt.engine.cli.options.page > docs/options.md`; a test holds it to them.

`yes`: the command has the option. After it stands where the option has no effect: given there, it
is refused by name before any work, and so is a value outside its range. `--debug`, `--quiet`
(`-q`) and `--verbose` (`-v`) may stand anywhere on the command line.

All files that a command names are compared before any work, through links too: one file in two
roles is refused, as is a folder that does not exist or cannot be written. A file that is there is
replaced, and a folder that is not empty is written into, only with `--overwrite`. `--json -` writes
the summary to stdout, and tables then go to stderr.

Exit codes: 0; 1 for a failure of keeprt's own, for a `verify` that found differences and for a
`doctor --backend` that cannot run; 2 for bad usage or input; 128 + the signal for a command that
Ctrl-C (130), SIGTERM (143) or SIGHUP (129) ended.
"""


def page() -> str:
    """The text of the page."""
    commands = list(dict.fromkeys(name for one in DECLARED for name in one.commands))
    parts = [INTRODUCTION, "## Which command has which option\n", *_matrix(commands)]
    for command in commands:
        parts += [f"\n## keeprt {command}\n", *_of_command(command)]
    return "\n".join(parts) + "\n"


def range_of(one: Declared) -> str:
    """The range of an option in words."""
    if one.allowed is not None:
        return str(one.allowed)
    if one.flag == "--crf" and "restore" in one.commands:
        return "; ".join(f"{encoder}: {allowed}" for encoder, allowed in CRF_RANGES.items())
    if one.names is not None:
        return f"a path, {one.names.value}"
    return ""


def refused(one: Declared, command: str) -> str:
    """Where an option of a command is refused, in words."""
    return "; ".join(state.words for state in one.idle if state.concerns(command))


def _matrix(commands: list[str]) -> Iterator[str]:
    yield from _table(
        ["option", *commands],
        (
            [f"`{flag}`", *("yes" if _has(flag, command) else "" for command in commands)]
            for flag in sorted({one.flag for one in DECLARED if not one.is_argument})
        ),
    )


def _has(flag: str, command: str) -> bool:
    return any(one.flag == flag and command in one.commands for one in DECLARED)


def _of_command(command: str) -> Iterator[str]:
    rows = (
        [
            f"`{one.flag}`",
            one.meaning.replace("|", "\\|"),
            range_of(one),
            refused(one, command),
        ]
        for one in DECLARED
        if command in one.commands
    )
    yield from _table(["option", "meaning", "range", "no effect, and refused"], rows)


def _table(columns: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"| {' | '.join('---' for _ in columns)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


if __name__ == "__main__":
    from keeprt.engine.cli import app  # noqa: F401  (its commands declare the options)

    print(page(), end="")
