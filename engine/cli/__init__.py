"""The command `keeprt`."""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Runs the command line: exit code 2 for bad usage or input, 1 for a failure of ours, 128 +
    signal for one that ended it."""
    if sys.argv[1:] == ["--version"]:  # nothing of the program is needed for it
        from importlib.metadata import version

        print(f"keeprt {version('keeprt')}")
        sys.exit(0)
    sys.exit(_run())


def _run() -> int:
    from keeprt.engine.cli.terminal.signals import Signals

    with Signals() as signals:  # the imports below take long enough to be interrupted
        try:
            from keeprt.engine.cli.app import run

            code = run(sys.argv[1:])
        except BaseException:
            if signals.number is None:
                raise
        if signals.number is None:
            return code
    _say(signals.words)
    return signals.exit_code


def _say(words: str) -> None:
    """The last words, if anybody hears them: SIGHUP comes when the terminal has gone."""
    try:
        print(words, file=sys.stderr, flush=True)
    except OSError:  # what is left in the buffer would fail again at the very end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
