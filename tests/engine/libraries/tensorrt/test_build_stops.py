"""What ends a build, and that it leaves no half plan; builders beside each other."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections import namedtuple

import pytest

from keeprt.engine.errors import BackendError
from keeprt.engine.libraries.tensorrt import build_all
from keeprt.engine.libraries.tensorrt.build_all import Listener, Made, build_plans
from tests.engine.libraries.tensorrt.plans import request

pytest.importorskip("tensorrt_rtx", reason="needs keeprt[rtx]")


def test_no_space_is_said_before_the_build(one, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(build_all.shutil, "disk_usage", lambda path: usage(10, 9, 1_000_000))
    with pytest.raises(BackendError, match=r"no space for the plan in .*needs about 16 MB, 1 MB"):
        build_plans(one, request(), tmp_path)


CODE = """
import resource, signal, sys
from pathlib import Path
from keeprt.engine.libraries.tensorrt.build_all import BuildRequest, Listener, build_plans
from keeprt.engine.bundle.load import load_bundle
from keeprt.engine.errors import KeeprtError
"""


def run_python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CODE + code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_disk_that_fills_up_leaves_no_half_plan(mixed, tmp_path):
    """The file-size limit stands in for a full disk: the write itself fails, midway."""
    code = """
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
try:
    build_plans(load_bundle(sys.argv[1]), BuildRequest(targets=("sm89",)), Path(sys.argv[2]))
except KeeprtError as error:
    print(error)
"""
    process = run_python(code, str(mixed.path), str(tmp_path))
    out, errors = process.communicate(timeout=120)
    assert "cannot write the plan" in out and "File too large" in out, errors
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_folder_that_cannot_be_made_is_refused(one, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match=r"cannot write plans to .*: Not a directory"):
        build_plans(one, request(), tmp_path / "file" / "plans")


def test_an_interrupt_stops_the_builder_and_leaves_no_half_plan(mixed, tmp_path):
    # One write a line: the interrupt may come between the two that print() makes of it.
    code = """
import os, time
def on_step(phase, done, total):
    os.write(1, b"step\\n")
try:
    build_plans(load_bundle(sys.argv[1]), BuildRequest(targets=("sm89",)), Path(sys.argv[2]),
                Listener(on_step=on_step))
except KeyboardInterrupt:
    os.write(1, b"interrupted\\n")
    time.sleep(0.5)  # a builder that was not waited for would go on with its steps
"""
    process = run_python(code, str(mixed.path), str(tmp_path))
    assert process.stdout is not None and process.stdout.readline() == "step\n"
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=120)
    assert out.endswith("interrupted\n"), errors
    for path in tmp_path.iterdir():
        assert path.name == ".lock" or path.name.endswith((".plan", ".plan.json"))
    assert len(list(tmp_path.glob("*.plan"))) < len(mixed.subgraphs)


def test_an_interrupt_while_the_builder_is_started_stops_it_too(mixed, tmp_path):
    code = """
import threading, time
class Interrupted(threading.Thread):
    def start(self):
        super().start()
        raise KeyboardInterrupt
threading.Thread = Interrupted
try:
    build_plans(load_bundle(sys.argv[1]), BuildRequest(targets=("sm89",)), Path(sys.argv[2]))
except KeyboardInterrupt:
    deadline = time.monotonic() + 60
    while threading.active_count() > 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    print(threading.active_count())
"""
    out, errors = run_python(code, str(mixed.path), str(tmp_path)).communicate(timeout=120)
    assert out == "1\n", errors
    assert not list(tmp_path.glob("*.plan"))


def test_two_builds_at_once_make_one_plan(one, tmp_path):
    """The second waits for the first, says so, and finds the plan made."""
    inside, go_on = threading.Event(), threading.Event()
    said: list[str] = []

    def hold(made: Made) -> None:
        inside.set()
        assert go_on.wait(60)

    first_made: list[Made] = []
    first = threading.Thread(
        target=lambda: first_made.extend(
            build_plans(one, request(), tmp_path, Listener(on_made=hold))
        )
    )
    first.start()
    assert inside.wait(60)

    def note(text: str) -> None:
        said.append(text)
        go_on.set()

    (second,) = build_plans(one, request(), tmp_path, Listener(notify=note))
    first.join(60)
    assert second.cached and not first_made[0].cached
    assert "another build is running" in said[0]


def test_the_lock_dies_with_its_process(one, tmp_path):
    code = """
from keeprt.engine.libraries.tensorrt.plan_lock import plans_locked
import os
with plans_locked(Path(sys.argv[1])):
    print("held", flush=True)
    os._exit(1)
"""
    process = run_python(code, str(tmp_path))
    process.communicate(timeout=60)
    assert (tmp_path / ".lock").exists()
    said: list[str] = []
    build_plans(one, request(), tmp_path, Listener(notify=said.append))
    assert not said
