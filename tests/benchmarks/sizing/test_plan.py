"""The calculator against arithmetic by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keeprt.benchmarks.sizing.plan import Measured, parse_question, read_measured, size
from keeprt.engine.cli.app import run
from keeprt.engine.errors import UsageError

CARD = Measured(faces_per_s=100.0, frame_p99_ms=12.0, peak_memory_mb=2000.0, machine="a card")


def sized(text: str, measured: Measured = CARD) -> Any:
    return size(measured, parse_question(text))


def test_an_archive_is_frames_over_what_a_machine_does_in_the_days_given() -> None:
    # 10,000 h of 25 fps with one face: 9e8 faces; a machine does 70 a second for 30 days.
    found = sized("hours=10000,days=30")
    assert found.archive_machines == 5  # 9e8 / (70 * 2,592,000) = 4.96
    assert found.channel_machines == 0
    assert sized("hours=10000,days=30,share=0.1").archive_machines == 1
    assert sized("hours=10000,days=30,headroom=0").archive_machines == 4


def test_channels_are_whole_channels_a_machine() -> None:
    found = sized("channels=7")
    assert (found.channels_per_machine, found.channel_machines) == (2, 4)


def test_a_machine_that_is_too_slow_says_so() -> None:
    slow = Measured(0.2, 6300.0, 5300.0, "two cores")
    found = sized("channels=1", slow)
    assert found.channel_machines == 0
    assert "no channel is restored in time" in " ".join(found.notes)


def test_memory_bounds_instances() -> None:
    assert sized("hours=1,memory_gb=7").instances_per_machine == 3
    with pytest.raises(UsageError, match=r"an instance takes 2\.0 GB"):
        sized("hours=1,memory_gb=1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "asks for hours"),
        ("weeks=3", "unknown 'weeks'"),
        ("hours=many", "give a number"),
        ("hours=-1", "give 0 or more"),
        ("hours=1,days=0", "above 0"),
        ("hours=1,headroom=1", "below 1"),
        ("hours=inf", "give 0 or more"),
    ],
)
def test_questions_that_cannot_be_meant(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_question(text)


def test_the_best_batch_counts_for_an_archive_and_one_face_for_a_deadline(tmp_path: Path) -> None:
    def case(faces: int, rate: float, p99: float) -> dict[str, Any]:
        engine = {"faces_per_s": rate, "frame_ms": {"p99": p99}, "peak_memory_mb": 10.0 * faces}
        return {"case": {"mode": "stream", "faces": faces}, "contenders": [engine]}

    content = {"machine": {"cpu": "x"}, "cases": [case(1, 50, 20.0), case(4, 80, 50.0)]}
    file = tmp_path / "bench.json"
    file.write_text(json.dumps(content))
    assert read_measured(file) == Measured(80, 20.0, 40.0, "x")
    file.write_text(json.dumps({"format": "keeprt-bench", "result": content}))
    assert read_measured(file).faces_per_s == 80
    file.write_text("{}")
    with pytest.raises(UsageError, match="is no result of"):
        read_measured(file)


def test_the_command_prints_machines_and_what_they_stand_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = {"faces_per_s": 100.0, "frame_ms": {"p99": 12.0}, "peak_memory_mb": 2000.0}
    case = {"case": {"mode": "stream", "faces": 1}, "contenders": [engine]}
    file = tmp_path / "bench.json"
    file.write_text(json.dumps({"machine": {"cpu": "x"}, "cases": [case]}))
    code = run(["bench", "--from", str(file), "--plan", "hours=10000,days=30"])
    printed = capsys.readouterr().out
    assert code == 0 and "machines for the archive: 5" in printed and "headroom = 0.3" in printed
    assert run(["bench", "--plan", "hours=1"]) == 2
