"""Options from a file: its names, its mistakes, and that what is typed counts more."""

from __future__ import annotations

from pathlib import Path

import pytest

from keeprt.engine.cli.app import run
from keeprt.engine.cli.options.config import read
from keeprt.engine.errors import UsageError

CHANNEL = """
source = "udp://127.0.0.1:7001"
sink = "udp://127.0.0.1:7002"
bypass = true
delay = "160ms"
on-loss = "repeat=500ms,black"
control = "off"
"""
KNOWN = ["source", "delay", "on_loss", "bypass", "strength"]


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "live.toml"
    path.write_text(text)
    return path


def test_names_may_be_written_either_way(tmp_path: Path) -> None:
    path = write(tmp_path, 'on-loss = "black"\nstrength = 1\nbypass = false')
    assert read(path, KNOWN) == {"on_loss": "black", "strength": 1, "bypass": False}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('dely = "1"', "no option 'dely'; did you mean delay?"),
        ("x = 1", "no option 'x'; there is bypass, delay"),
        ("delay = ", r"is no TOML: Invalid value \(at"),
        ("delay = [1]", "delay is no text, number"),
        ("[delay]", "delay is no text, number"),
    ],
)
def test_a_mistake_is_named(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=why):
        read(write(tmp_path, text), KNOWN)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read --config .*: No such file"):
        read(tmp_path / "none.toml", KNOWN)


def test_a_channel_from_a_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = str(write(tmp_path, CHANNEL))
    assert run(["live", "--config", path, "--check"]) == 0
    assert "from udp://127.0.0.1:7001 to udp://127.0.0.1:7002" in capfd.readouterr().out
    assert run(["live", "udp://127.0.0.1:7003", "--config", path, "--check"]) == 0
    assert "from udp://127.0.0.1:7003 to udp://127.0.0.1:7002" in capfd.readouterr().out


def test_what_a_file_says_is_checked_as_what_is_typed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = str(write(tmp_path, CHANNEL + "strength = 7\n"))
    assert run(["live", "--config", path, "--check"]) == 2
    assert "--strength is 7: give a number from 0 to 1" in capfd.readouterr().err
    assert run(["live", "--config", path, "--check", "--delay", "3"]) == 2
