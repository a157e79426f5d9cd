"""The command's frame: options for all commands, registration, and how errors end the process."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from keeprt.engine.cli import (
    archive,
    bench,
    build,
    demo,
    doctor,
    evaluate,
    export,
    inspect,
    live,
    restore,
    selftest,
    train,
    triton,
    verify,
)
from keeprt.engine.cli.options.command import CheckedCommand
from keeprt.engine.cli.terminal.console import (
    alert,
    alerts,
    console,
    log_to_console,
    output,
    take_any_name,
)
from keeprt.engine.errors import KeeprtError
from keeprt.engine.media.errors import display_name

EXIT_INPUT, EXIT_FAILURE, EXIT_INTERRUPTED = 2, 1, 130
#: A disk that is full, or as much of it as is ours, is no fault of the program.
FULL = (errno.ENOSPC, errno.EDQUOT)
#: May stand anywhere on the command line.
ANYWHERE = {
    "--debug": "debug",
    "-q": "quiet",
    "--quiet": "quiet",
    "-v": "verbose",
    "--verbose": "verbose",
}

app = typer.Typer(
    name="keeprt",
    help="KEEP video face super-resolution: export, inspect, restore, measure.",
    epilog="Example: keeprt demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    archive.archive,
    bench.bench,
    build.build,
    demo.demo,
    doctor.doctor,
    evaluate.evaluate,
    export.export,
    inspect.inspect,
    live.live,
    restore.restore,
    triton.triton,
    selftest.selftest,
    train.train,
    verify.verify,
):
    app.command(command.__name__, cls=CheckedCommand)(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"keeprt {version('keeprt')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
    _debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            help="On an error, print the traceback too. This option and the next two may stand "
            "anywhere, after a command's name too.",
        ),
    ] = False,
    _quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No news: errors, warnings and tables only.")
    ] = False,
    _verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="More news: options in force, log messages.")
    ] = False,
) -> None:
    """KEEP video face super-resolution: export, inspect, restore, measure."""


def run(arguments: Sequence[str]) -> int:
    """Runs a command line and gives its exit code."""
    rest, switches = taken_out(arguments)
    console.quiet, output.stderr = "quiet" in switches, False
    log_to_console(verbose="verbose" in switches)
    take_any_name(sys.stdout)
    try:
        return int(app(rest, prog_name="keeprt", standalone_mode=False) or 0)
    except BaseException as error:
        if "debug" in switches:
            traceback.print_exc()
        return report(error)


def taken_out(arguments: Sequence[str]) -> tuple[list[str], set[str]]:
    """The command line without what may stand anywhere, and the names of what did."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    rest = [one for one in arguments[:end] if one not in ANYWHERE]
    found = {ANYWHERE[one] for one in arguments[:end] if one in ANYWHERE}
    return [*rest, *arguments[end:]], found


def report(error: BaseException) -> int:
    """Says what went wrong, in one line; the exit code."""
    if isinstance(error, SystemExit):
        return int(error.code or 0)
    if isinstance(error, KeeprtError):
        alert(f"error: {error}", style="red")
        return EXIT_INPUT
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    if isinstance(error, OSError) and error.errno in FULL:
        where = f" ({display_name(error.filename)})" if error.filename else ""
        alert(f"error: {error.strerror}{where}", style="red")
        return EXIT_INPUT
    format_message = getattr(error, "format_message", None)
    if format_message is not None:  # typer's own, for a command line that it cannot read
        if type(error).__name__ == "NoArgsIsHelpError":
            alerts.print(format_message(), soft_wrap=True)
        else:
            alert(f"error: {format_message()}{_hint(error)}", style="red")
        return EXIT_INPUT
    what = f"{type(error).__name__}: {error}"
    alert(f"internal error: {what} (--debug shows where)", style="red")
    return EXIT_FAILURE


def _hint(error: BaseException) -> str:
    context = getattr(error, "ctx", None)
    return f" (`{context.command_path} --help` shows the options)" if context is not None else ""
