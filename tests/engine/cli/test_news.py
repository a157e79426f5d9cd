"""What a command says where nobody sits at a terminal: plain lines, unfolded, without surprises."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from keeprt.engine.cli.app import taken_out
from keeprt.engine.cli.terminal import progress
from keeprt.engine.cli.terminal.console import PlainConsole, alert, announce, output
from keeprt.engine.cli.terminal.progress import Ticker, frame_progress, progress_line
from tests.engine.media.clips import Clip, make_clip

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", Clip())


@pytest.mark.parametrize(
    ("frames", "total", "seconds", "expected"),
    [
        (0, 100, 10.0, "restoring: 0 of 100 frames"),
        (40, 100, 20.0, "restoring: 40 of 100 frames, 2.0 fps, 0:00:30 left"),
        (40, None, 80.0, "restoring: 40 frames, 0.50 fps"),
        (100, 100, 20.0, "restoring: 100 of 100 frames, 5.0 fps"),
    ],
)
def test_progress_in_a_line(frames: int, total: int | None, seconds: float, expected: str) -> None:
    assert progress_line("restoring", frames, total, seconds) == expected


def test_without_a_terminal_lines_come_while_it_works_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.05)
    with frame_progress("restoring", 3) as on_frame:
        for _ in range(3):
            on_frame()
            time.sleep(0.1)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 3 and all(line.startswith("restoring: ") for line in lines)
    assert "left" in lines[0] and "fps, in 0:00:0" in lines[-1]


def test_news_come_without_a_frame_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.05)
    with Ticker(lambda seconds: "loading"):
        time.sleep(0.2)
    assert capsys.readouterr().err.splitlines()[:1] == ["loading"]


def test_restore_ends_with_a_line_and_quiet_with_none(
    keeprt: Command, source: Path, tmp_path: Path
) -> None:
    code, printed, said = keeprt("restore", source, tmp_path / "a.mp4", "--bypass")
    assert code == 0 and "frames" in printed
    assert [line for line in said.splitlines() if line.startswith("restoring: ")]
    for quiet in ("-q", "--quiet"):
        code, printed, said = keeprt(
            "restore", source, tmp_path / "b.mp4", "--bypass", "--overwrite", quiet
        )
        assert (code, printed) == (0, "")
        assert said == "warning: no face was found; the video was re-encoded as it is\n"


def test_verbose_says_which_options_are_in_force(
    keeprt: Command, source: Path, tmp_path: Path
) -> None:
    _, _, said = keeprt("restore", "-v", source, tmp_path / "a.mp4", "--bypass", "--scale", "2")
    assert "--scale 2\n" in said and "--min-size 32.0 (default)" in said


def test_brackets_in_a_name_are_no_markup_and_nothing_is_folded(
    keeprt: Command, tmp_path: Path, source: Path
) -> None:
    out = tmp_path / ("long " * 30).strip() / "a[/end] [red]b.mp4"
    out.parent.mkdir(parents=True)
    code, printed, _ = keeprt("restore", source, out, "--bypass")
    assert code == 0 and printed.splitlines() == [f"wrote {out}: {printed.split()[-2]} frames"]
    code, _, said = keeprt("restore", source, out, "--bypass")
    assert code == 2 and said.splitlines() == [
        f"error: OUT {out} exists already: --overwrite replaces it"
    ]
    code, printed, said = keeprt("inspect", "[/end]")
    assert code == 2 and "[/end]" in said and len(said.splitlines()) == 1


def test_credentials_are_never_printed(capsys: pytest.CaptureFixture[str]) -> None:
    alert("error: cannot open rtmp://me:secret@host/app?key=1")
    announce("wrote srt://me:secret@host/app")
    printed = capsys.readouterr()
    assert "secret" not in printed.err + printed.out and "host/app" in printed.err


def test_tables_are_as_wide_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.table import Table

    monkeypatch.delenv("COLUMNS", raising=False)
    table = Table("a", "b")
    table.add_row("x" * 150, "[/y]")
    output.print(table)
    assert "x" * 150 in capsys.readouterr().out


def test_columns_are_those_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """GNU readline sets COLUMNS in the process that loads it: 80, where nobody asked for it."""
    monkeypatch.setenv("COLUMNS", "80")
    made = PlainConsole(stderr=False)
    assert made.width == 80
    monkeypatch.setenv("COLUMNS", "200")
    assert made.width == 200


@pytest.mark.parametrize(
    ("typed", "rest", "switches"),
    [
        (["restore", "a", "--debug", "b"], ["restore", "a", "b"], {"debug"}),
        (["-q", "bench", "-v"], ["bench"], {"quiet", "verbose"}),
        (["restore", "--", "-q", "--debug"], ["restore", "--", "-q", "--debug"], set()),
    ],
)
def test_some_options_may_stand_anywhere(
    typed: list[str], rest: list[str], switches: set[str]
) -> None:
    assert taken_out(typed) == (rest, switches)


@pytest.mark.parametrize("where", [0, 1, 3])
def test_debug_shows_the_traceback_and_keeps_the_exit_code(
    keeprt: Command, tmp_path: Path, where: int
) -> None:
    arguments = ["inspect", str(tmp_path)]
    assert keeprt(*arguments)[0] == 2
    arguments.insert(where, "--debug")
    code, _, said = keeprt(*arguments)
    assert code == 2 and "Traceback" in said and "error: " in said.splitlines()[-1]


def test_a_command_line_that_cannot_be_read_is_one_line(keeprt: Command) -> None:
    for wrong in (
        ["restore"],
        ["restore", "a", "b", "--magic"],
        ["fly"],
        ["bench", "--rounds", "x"],
    ):
        code, printed, said = keeprt(*wrong)
        assert code == 2 and not printed
        assert len(said.splitlines()) == 1 and said.startswith("error: "), said


def test_no_help_line_is_cut_and_completion_is_there(keeprt: Command) -> None:
    shown = keeprt("--help")[1]
    commands = shown.partition("Commands:")[2]
    assert commands and "..." not in commands and "--install-completion" in shown
    for command in ("bench", "build", "demo", "doctor", "evaluate", "export", "restore", "verify"):
        assert f"\n  {command} " in shown


def test_the_version_needs_nothing_of_the_program() -> None:
    code = (
        "import sys; sys.argv = ['keeprt', '--version']\n"
        "from keeprt.engine.cli import main\n"
        "try: main()\n"
        "except SystemExit as ended: assert not ended.code\n"
        "assert not {'numpy', 'typer', 'av', 'cv2'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("keeprt ")


ENVELOPE = ["format", "version", "date", "machine", "command", "result"]


def test_every_summary_has_one_envelope(
    keeprt: Command, source: Path, tmp_path: Path, tiny_bundle: Path
) -> None:
    out = tmp_path / "out.mp4"
    for name, arguments in {
        "restore": ["restore", source, out, "--bypass"],
        "inspect": ["inspect", tiny_bundle],
        "doctor": ["doctor"],
    }.items():
        file = tmp_path / f"{name}.json"
        code, _, said = keeprt(*arguments, "--json", file)
        assert code == 0, said
        content = json.loads(file.read_text())
        assert list(content) == ENVELOPE and content["format"] == f"keeprt-{name}"
        assert str(tmp_path) not in file.read_text() and f"--json {name}.json" in content["command"]
        assert content["date"].endswith("+00:00") and content["machine"]["CPU"]
    restored = json.loads((tmp_path / "restore.json").read_text())["result"]
    assert restored["out"] == "out.mp4" and restored["frames"] > 0 and restored["tracks"] == []
    inspected = json.loads((tmp_path / "inspect.json").read_text())["result"]
    assert "decoder" in inspected["manifest"]["subgraphs"]


def test_a_summary_on_stdout_is_alone_there(keeprt: Command, tiny_bundle: Path) -> None:
    code, printed, said = keeprt("inspect", tiny_bundle, "--json", "-")
    assert code == 0 and json.loads(printed)["format"] == "keeprt-inspect"
    assert "lq_encoder" in said
    assert "lq_encoder" in keeprt("inspect", tiny_bundle)[1]


def test_doctor_says_whether_a_backend_can_run(
    keeprt: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keeprt.engine.cli import doctor
    from keeprt.engine.doctor import Finding

    found = [
        Finding("backend onnxruntime", "ok", "1.2"),
        Finding("backend rtx", "note", "1.5; builds here, runs on no card here"),
        Finding("NVIDIA driver", "missing", "no driver", "install it"),
        Finding("cuda-core", "ok", "1"),
    ]
    monkeypatch.setattr(doctor, "examine", lambda: found)
    assert keeprt("doctor")[0] == 0
    assert keeprt("doctor", "--backend", "onnxruntime")[0] == 0
    file = tmp_path / "d.json"
    code, printed, said = keeprt("doctor", "--backend", "rtx", "--json", file)
    assert code == 1 and "NVIDIA driver" in printed
    assert said.splitlines() == ["rtx cannot run here: NVIDIA driver: no driver; install it"]
    result = json.loads(file.read_text())["result"]
    assert [one["subject"] for one in result["lacking"]] == ["NVIDIA driver"]
    monkeypatch.setattr(doctor, "without_place", lambda command: f"public {command}")
    keeprt("doctor", "--backend", "rtx", "--json", file, "--overwrite")
    result = json.loads(file.read_text())["result"]
    remedies = {one["remedy"] for one in result["lacking"] + result["findings"]}
    assert "public install it" in remedies and "install it" not in remedies


def test_doctor_looks_for_the_face_detector(keeprt: Command) -> None:
    assert "face detector" in keeprt("doctor")[1]
