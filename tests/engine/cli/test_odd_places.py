"""Names that terminals and encodings trip over, and places that are full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.media.clips import Clip, make_clip

Command = Callable[..., tuple[int, str, str]]
FULL = Path("/dev/full")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("new\nline", "new\\nline"),
        ("escape\x1b[31m", "escape\\x1b[31m"),
        ("tab\tcr\r", "tab\\tcr\\r"),
        ("turned\u202e4pm", "turned\\u202e4pm"),
        ("latin caf\udce9", "latin caf\\udce9"),
        ("emoji 😀", "emoji 😀"),
        ("a[end] %03d", "a[end] %03d"),
    ],
)
def test_any_name_is_written_and_said_on_one_line(
    keeprt: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, shown: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "in.mp4", Clip())
    command = ("restore", "in.mp4", f"{name}.mp4", "--bypass", "--json", "s.json")
    code, printed, said = keeprt(*command)
    assert code == 0, said
    assert printed == f"wrote {shown}.mp4: 12 frames\n"
    assert sorted(os.listdir()) == sorted(["in.mp4", f"{name}.mp4", "s.json"])  # noqa: PTH208
    assert json.loads(Path("s.json").read_text("utf-8"))["result"]["out"] == f"{name}.mp4"
    code, _, said = keeprt(*command)
    assert code == 2 and f"{shown}.mp4 exists already" in said
    assert len(said.splitlines()) == 1


def started(*arguments: object, stdout: object, **environment: str) -> tuple[int, str]:
    code = "from keeprt.engine.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
        env=os.environ | environment,
    )
    return done.returncode, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("options", [(), ("--json", "-")], ids=["a table", "a summary"])
def test_a_full_disk_behind_stdout_is_one_line(tiny_bundle: Path, options: tuple[str, ...]) -> None:
    with FULL.open("w") as full:
        code, said = started("inspect", tiny_bundle, *options, stdout=full)
    assert code == 2 and "internal error" not in said
    assert said.splitlines()[-1].startswith("error: ") and "No space left on device" in said


@pytest.mark.slow
def test_a_summary_is_utf_8_in_any_terminal(tiny_bundle: Path, tmp_path: Path) -> None:
    named = tmp_path / "ü 😀"
    named.symlink_to(tiny_bundle)
    with (tmp_path / "out").open("wb") as out:
        options = ("--json", "-")
        code, said = started(
            "inspect", named, *options, stdout=out, PYTHONIOENCODING="ascii:strict"
        )
    assert code == 0, said
    content = json.loads((tmp_path / "out").read_text("utf-8"))
    assert "ü 😀" in content["command"]
