"""The command as a fixture."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keeprt.engine.cli import main

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def keeprt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command in this process: exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["keeprt", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run
