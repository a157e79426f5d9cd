"""The example reports: there, small, made by the commands that the gallery shows."""

from __future__ import annotations

import html
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from keeprt.benchmarks.report import gallery

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "benchmarks" / "examples"


def test_every_report_has_an_example_by_the_command_that_the_page_shows() -> None:
    page = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    assert {path.name for path in EXAMPLES.iterdir()} == {f"{n}.html" for n in gallery.REPORTS}
    for name, command in zip(gallery.REPORTS, gallery.commands(), strict=True):
        file = EXAMPLES / f"{name}.html"
        text = html.unescape(file.read_text(encoding="utf-8"))
        # verify's page has no command, it names what it says.
        shown = "demo clip, stream mode, 32 frames" if name == "verify" else command
        assert shown in text, f"{name}.html was made by another command: make it again"
        assert f"\n{command}\n" in page and f"(../benchmarks/examples/{name}.html)" in page
        assert file.stat().st_size < 1_000_000
        assert not re.search(r"/(?:tmp|root|home)/", text)


def test_each_command_runs_in_a_folder_of_its_own_and_gives_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []

    def run(words: list[str], cwd: str) -> Any:
        ran.append(words[3:])
        if "evaluate" not in words:
            (Path(cwd) / words[-1]).write_text(words[3])
        return subprocess.CompletedProcess(words, 1)

    monkeypatch.setattr(subprocess, "run", run)
    gallery.make(tmp_path, ["bench", "verify"])
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "bench.html": "bench",
        "verify.html": "verify",
    }
    with pytest.raises(subprocess.CalledProcessError):
        gallery.make(tmp_path, ["evaluate"])
    assert [f"keeprt {' '.join(words)}" for words in ran] == gallery.commands()
