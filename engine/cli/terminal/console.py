"""What the command prints with: messages and progress go to stderr, results to stdout."""

from __future__ import annotations

import logging
from io import TextIOWrapper
from types import ModuleType
from typing import TextIO

from rich.console import Console, ConsoleDimensions

from keeprt.engine.errors import UsageError
from keeprt.engine.media.errors import display_name
from keeprt.kernels.installing import install

#: Columns where there is no terminal: a log or a pipe is not folded.
UNFOLDED = 10_000


class PlainConsole(Console):
    """A console that takes text as it is: names of files hold brackets, and lines may be long."""

    def __init__(self, stderr: bool) -> None:
        super().__init__(stderr=stderr, markup=False, highlight=False, emoji=False)
        self._width = self._height = None  # a COLUMNS of now, not of when this was loaded

    @property
    def size(self) -> ConsoleDimensions:
        """The terminal's; without one, or a COLUMNS in the environment, lines are not folded."""
        if self.is_terminal or "COLUMNS" in self._environ:
            return super().size
        return ConsoleDimensions(UNFOLDED, 25)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size


#: Errors, warnings and notes; --quiet leaves only `alert`.
console = PlainConsole(stderr=True)
alerts = PlainConsole(stderr=True)
#: Results; with `--json -` they make way for the summary.
output = PlainConsole(stderr=False)


def alert(text: str, style: str = "yellow") -> None:
    """An error or a warning, in one line, without credentials; --quiet does not silence it."""
    line = " ".join(text.split("\n"))
    alerts.print(display_name(line), style=style, soft_wrap=True)


def note(text: str, style: str = "") -> None:
    """News on stderr, in one line, without credentials."""
    console.print(display_name(text), style=style, soft_wrap=True)


def announce(text: str) -> None:
    """What was made, on stdout; silent with --quiet."""
    if not console.quiet:
        output.print(display_name(text), soft_wrap=True)


def take_any_name(stream: TextIO) -> None:
    """Lets a stream spell what its encoding lacks, such as a file's name, rather than fail."""
    if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")


class _ToConsole(logging.Handler):
    """Log messages among the news; those of trouble as warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            alert(f"warning: {record.getMessage()}")
        else:
            note(f"{record.name}: {record.getMessage()}", style="dim")


def log_to_console(verbose: bool) -> None:
    """Sends keeprt's log to stderr; all of it, or only warnings."""
    log = logging.getLogger("keeprt")
    if not any(isinstance(handler, _ToConsole) for handler in log.handlers):
        log.addHandler(_ToConsole())
    log.setLevel(logging.DEBUG if verbose else logging.WARNING)


def need(module: str, extra: str) -> ModuleType:
    """Imports a part of keeprt that needs an extra. Raises UsageError naming the extra."""
    from importlib import import_module

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(f"this command needs {error.name}: {install(extra)}") from None


def warn_synthetic() -> None:
    """Says plainly that made-up weights make no faces."""
    note(
        "note: these are synthetic weights, for speed and agreement only; "
        "the pictures they make mean nothing",
        style="yellow",
    )
