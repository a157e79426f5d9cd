"""What an option is: its flag, its range, where it has no effect, and the files that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import typer

Values = Mapping[str, Any]


class Range(Protocol):
    """The values that an option takes."""

    def allows(self, value: Any) -> bool:
        """Whether a value is one of them."""

    def __str__(self) -> str:
        """The range in words."""


@dataclass(frozen=True)
class Whole:
    """Whole numbers from `least` to `most`."""

    least: int
    most: int | None = None

    def allows(self, value: Any) -> bool:
        """See Range."""
        return bool(value >= self.least and (self.most is None or value <= self.most))

    def __str__(self) -> str:
        if self.most is None:
            return f"a whole number from {self.least} on"
        return f"a whole number from {self.least} to {self.most}"


@dataclass(frozen=True)
class Number:
    """Numbers from `least` to `most`; `above` leaves `least` itself out. Never NaN."""

    least: float
    most: float = float("inf")
    above: bool = False

    def allows(self, value: Any) -> bool:
        """See Range."""
        if self.above and value == self.least:
            return False
        return bool(self.least <= value <= self.most) and value != float("inf")

    def __str__(self) -> str:
        if self.most != float("inf"):
            return f"a number from {self.least:g} to {self.most:g}"
        return f"a number {'above' if self.above else 'from'} {self.least:g}" + (
            "" if self.above else " on"
        )


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    names: tuple[str, ...]

    def allows(self, value: Any) -> bool:
        """See Range."""
        return value in self.names

    def __str__(self) -> str:
        return ", ".join(self.names[:-1]) + f" or {self.names[-1]}"


class Names(Enum):
    """What the file that an option names is for the command."""

    INPUT = "read"
    OUTPUT = "written"
    FOLDER = "written, a folder"
    VIDEO = "written, a video file or a folder"
    KEPT = "read if it is there, else written"
    STORE = "a folder that is added to"
    RENEWED = "written anew by each run"


@dataclass(frozen=True)
class When:
    """A state of the other options of some commands, and how a message and the table name it."""

    words: str
    commands: str
    holds: Callable[[Values], bool]
    remedy: str = ""

    def concerns(self, command: str) -> bool:
        """Whether the command knows this state."""
        return command in self.commands.split()


@dataclass(frozen=True)
class Declared:
    """One option, or argument, of some commands.

    allowed: its range, None where any value is read by what takes it. names: of a path. paths: the
    files in a value that holds more than a path. idle: where it has no effect and is refused.
    """

    flag: str
    commands: tuple[str, ...]
    meaning: str
    allowed: Range | None = None
    names: Names | None = None
    paths: Callable[[Any], Iterable[str | Path]] = lambda value: (
        value if isinstance(value, (list, tuple)) else [value]
    )
    idle: tuple[When, ...] = ()

    @property
    def is_argument(self) -> bool:
        """Whether it stands alone, without a flag."""
        return not self.flag.startswith("-")


#: Every option of every command, in the order of the table in docs/options.md.
DECLARED: list[Declared] = []


def option(
    flag: str,
    commands: str,
    meaning: str,
    *,
    allowed: Range | None = None,
    names: Names | None = None,
    paths: Callable[[Any], Iterable[str | Path]] | None = None,
    idle: Iterable[When] = (),
    **shown: Any,
) -> Any:
    """Declares an option, for the names of `commands` with spaces between; what `Annotated` takes.

    `shown` goes to `typer.Option`, such as a metavar. A second flag follows a comma.
    """
    flags = flag.split(",")
    _declare(flags[0], commands, meaning, allowed, names, paths, idle)
    return typer.Option(*flags, help=meaning, **shown)


def argument(
    name: str, commands: str, meaning: str, *, names: Names | None, idle: Iterable[When] = ()
) -> Any:
    """Declares an argument, as `option` does."""
    _declare(name, commands, meaning, None, names, None, idle)
    return typer.Argument(metavar=name, help=meaning)


def declared(command: str) -> list[Declared]:
    """The options of one command."""
    return [one for one in DECLARED if command in one.commands]


def _declare(
    flag: str,
    commands: str,
    meaning: str,
    allowed: Range | None,
    names: Names | None,
    paths: Callable[[Any], Iterable[str | Path]] | None,
    idle: Iterable[When],
) -> None:
    one = Declared(flag, tuple(commands.split()), meaning, allowed, names, idle=tuple(idle))
    if paths is not None:
        object.__setattr__(one, "paths", paths)
    DECLARED.append(one)
