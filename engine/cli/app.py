"""The command's frame: options for all commands, registration, and how errors end the process."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from keeprt.engine.cli import (
    bench,
    build,
    demo,
    doctor,
    evaluate,
    export,
    inspect,
    restore,
    verify,
)
from keeprt.engine.cli.console import console
from keeprt.engine.errors import KeeprtError

EXIT_INPUT, EXIT_FAILURE, EXIT_INTERRUPTED = 2, 1, 130

app = typer.Typer(
    name="keeprt",
    help="KEEP video face super-resolution: export, inspect, restore, measure.",
    epilog="Example: keeprt demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("bench")(bench.bench)
app.command("build")(build.build)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("evaluate")(evaluate.evaluate)
app.command("export")(export.export)
app.command("inspect")(inspect.inspect)
app.command("restore")(restore.restore)
app.command("verify")(verify.verify)


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
        bool, typer.Option("--debug", help="On an error, print the traceback too.")
    ] = False,
) -> None:
    """KEEP video face super-resolution: export, inspect, restore, measure."""


def main() -> None:
    """Runs the command line: exit code 2 for bad usage or input, 1 for a failure of ours."""
    debug = "--debug" in sys.argv
    try:
        app()
    except (KeeprtError, KeyboardInterrupt, Exception) as error:
        if debug:
            raise
        sys.exit(_report(error))


def _report(error: BaseException) -> int:
    if isinstance(error, KeeprtError):
        console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return EXIT_INPUT
    if isinstance(error, KeyboardInterrupt):
        console.print("interrupted")
        return EXIT_INTERRUPTED
    message = f"internal error: {type(error).__name__}: {error} (--debug shows where)"
    console.print(message.replace("\n", " "), style="red", markup=False, soft_wrap=True)
    return EXIT_FAILURE
