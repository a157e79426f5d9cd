"""Real signals to real processes: nothing half-written, one line, exit code 128 + signal."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.engine.pipeline_clips import background, write_clip

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signals")
KEEPRT = [sys.executable, "-c", "from keeprt.engine.cli import main; main()"]
WAIT_S = 120


def started(*arguments: object, out: Path) -> subprocess.Popen[str]:
    """The command, in a process group of its own, with Ctrl-C as a terminal's children have it."""
    return subprocess.Popen(
        [*KEEPRT, *map(str, arguments)],
        stdout=(out / "stdout").open("w"),
        stderr=(out / "stderr").open("w"),
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for(what: object, process: subprocess.Popen[str]) -> None:
    """Until `what()` is true of a process that goes on."""
    end = time.monotonic() + WAIT_S
    while not what():  # type: ignore[operator]
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["start", "writing"])
@pytest.mark.parametrize(
    ("number", "said", "code"),
    [
        (signal.SIGTERM, "interrupted by SIGTERM", 143),
        (signal.SIGHUP, "interrupted by SIGHUP", 129),
        (signal.SIGINT, "interrupted", 130),
    ],
)
def test_restore_leaves_nothing_and_says_why(
    tmp_path: Path, moment: str, number: signal.Signals, said: str, code: int
) -> None:
    source = write_clip(tmp_path / "in.mp4", [background(360, 640)] * 400)
    out, logs = tmp_path / "out", tmp_path / "logs"
    out.mkdir()
    logs.mkdir()
    crops = ("--save-crops", out / "crops", "--landmarks", out / "faces.jsonl")
    process = started("restore", source, out / "out.mp4", "--bypass", *crops, out=logs)
    if moment == "start":  # handlers stand before the imports that take long
        wait_for(lambda: handles(process.pid, number), process)
    else:
        wait_for(lambda: any(file.stat().st_size for file in out.glob(".out.part-*")), process)
    os.kill(process.pid, number)
    assert process.wait(WAIT_S) == code
    assert [path.name for path in out.iterdir()] == []
    lines = (logs / "stderr").read_text().splitlines()
    assert lines[-1] == said and not [line for line in lines if "Traceback" in line]


@pytest.mark.slow
def test_a_terminal_that_goes_away_takes_the_command_along(tmp_path: Path) -> None:
    """As when a line of ssh breaks: SIGHUP, and nobody reads the last words."""
    import pty

    source = write_clip(tmp_path / "in.mp4", [background(360, 640)] * 400)
    out = tmp_path / "out"
    out.mkdir()
    child, terminal = pty.fork()
    if child == 0:
        os.execv(KEEPRT[0], [*KEEPRT, "restore", str(source), str(out / "o.mp4"), "--bypass"])
    end = time.monotonic() + WAIT_S
    while not any(file.stat().st_size for file in out.glob(".o.part-*")):
        assert time.monotonic() < end
        if select.select([terminal], [], [], 0.05)[0]:
            os.read(terminal, 4096)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 129
    assert list(out.iterdir()) == []


def handles(pid: int, number: int) -> bool:
    """Whether a process catches a signal."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("needs /proc")
    mask = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
    caught = int(mask.split()[1], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1 and caught >> (number - 1) & 1)


@pytest.mark.slow
@pytest.mark.parametrize("group", [False, True], ids=["its process", "its group"])
def test_bench_keeps_its_partial_results_and_ends_its_children(
    tmp_path: Path, tiny_bundle: Path, group: bool
) -> None:
    pytest.importorskip("matplotlib")
    logs, json = tmp_path / "logs", tmp_path / "bench.json"
    logs.mkdir()
    process = started(
        *("bench", tiny_bundle, "--rivals", "onnxruntime", "--rounds", 100000, "--frames", 1),
        *("--threads", 1, "--window", 3, "--json", json, "-v"),
        out=logs,
    )
    parent = psutil.Process(process.pid)
    later = re.compile(r"round ([2-9]|\d\d+) of")
    wait_for(lambda: later.search((logs / "stderr").read_text()), process)
    children = parent.children(recursive=True)
    assert children
    if group:
        os.killpg(process.pid, signal.SIGTERM)
    else:
        os.kill(process.pid, signal.SIGTERM)
    assert process.wait(WAIT_S) == 143
    errors = (logs / "stderr").read_text()
    assert "Traceback" not in errors and errors.splitlines()[-1] == "interrupted by SIGTERM"
    import json as json_module

    content = json_module.loads(json.read_text())["result"]
    assert content["complete"] is False
    ours = content["cases"][0]["contenders"][0]
    assert ours["name"] == "keeprt" and ours["call_ms"]["count"] >= 1
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
