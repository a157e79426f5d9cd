"""`keeprt archive` and `keeprt triton` as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.engine.archive.test_run import GOOD, fill


@pytest.fixture
def tapes(tmp_path: Path) -> Path:
    return fill(tmp_path / "in")


def test_an_archive_is_done_once_and_its_report_names_no_folder(
    keeprt: Any, tapes: Path, tmp_path: Path
) -> None:
    out, report = tmp_path / "out", tmp_path / "report.json"
    code, printed, _ = keeprt(
        "archive", str(tapes), str(out), "--bypass", "--preset", "ultrafast", "--json", str(report)
    )
    assert code == 1 and "3 restored, 0 done before, 1 failed" in printed
    content = json.loads(report.read_text())
    assert content["format"] == "keeprt-archive"
    assert str(tmp_path) not in report.read_text()
    assert {row["source"] for row in content["result"]["rows"]} == {*GOOD, "broken.mp4"}
    (tapes / "broken.mp4").unlink()
    code, printed, _ = keeprt("archive", str(tapes), str(out), "--bypass", "--preset", "ultrafast")
    assert code == 0 and "0 restored, 3 done before, 0 failed" in printed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--retries", "3"], "--retries has no effect without --engine ray"),
        (["--strength", "0.5"], "--strength has no effect with --bypass"),
        (["--crf", "99"], "--crf is 99, for libx264: give a number from 0 to 51"),
        (["--set", "colour=red"], "unknown option 'colour'"),
        (["--set", "colour"], "give NAME=VALUE"),
        (["--engine", "spark"], "--engine is 'spark': give none or ray"),
        (["--attempts", "0"], "--attempts is 0"),
    ],
)
def test_options_that_cannot_be_honoured(
    keeprt: Any, tapes: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    code, _, error = keeprt("archive", str(tapes), str(tmp_path / "out"), "--bypass", *options)
    assert code == 2 and said in error
    assert not (tmp_path / "out").exists()


def test_a_model_repository_is_written_or_a_server_looked_at(
    keeprt: Any, tiny_bundle: Path, tmp_path: Path
) -> None:
    code, printed, _ = keeprt("triton", str(tiny_bundle), "--out", str(tmp_path / "repo"))
    assert code == 0 and "--model-repository" in printed
    assert (tmp_path / "repo" / "keeprt" / "config.pbtxt").exists()
    assert keeprt("triton")[0] == 2
    code, _, error = keeprt("triton", "--check", "127.0.0.1:9", "--faces", "2")
    assert code == 2 and "--faces has no effect with --check" in error


def test_reports_are_written_anew_and_nothing_elses_file_is_replaced(
    keeprt: Any, tapes: Path, tmp_path: Path
) -> None:
    (tapes / "broken.mp4").unlink()
    page, report = tmp_path / "page.html", tmp_path / "report.json"
    command = ["archive", str(tapes), str(tmp_path / "out"), "--bypass", "--preset", "ultrafast"]
    command += ["--report", str(page), "--json", str(report)]
    for status in ("restored", "done before"):
        assert keeprt(*command)[0] == 0
        assert page.read_text().count(f"<td>{status}</td>") == len(GOOD)
        rows = json.loads(report.read_text())["result"]["rows"]
        assert {row["warnings"][-1] for row in rows} == {"no face was restored"}
    page.write_text("a letter")
    code, _, error = keeprt(*command)
    assert code == 2 and "page.html exists already" in error
    assert page.read_text() == "a letter"
