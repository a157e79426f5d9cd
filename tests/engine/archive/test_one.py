"""Two processes at one file, faults of the machine, and what each leaves behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keeprt.engine.archive import one
from keeprt.engine.archive.jobs import Job
from keeprt.engine.archive.one import Row, Rules, give_up, is_the_machines, restore_one
from keeprt.engine.archive.receipt import receipt_name, receipt_of
from keeprt.engine.archive.recipe import Recipe
from keeprt.engine.archive.store import open_store
from keeprt.engine.errors import BackendError, MediaError
from tests.engine.media.clips import Clip, make_clip

BYPASS = Recipe(bundle=None, options={"preset": "ultrafast"}, threads=1)
JOB = Job("a.mp4", "a.mp4")
HOLDER = """
import sys
from keeprt.engine.archive.store import open_store
with open_store(sys.argv[1]).held("a.mp4"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    make_clip(tmp_path / "in" / "a.mp4", Clip(pts=(0, 1, 2), width=64, height=64))
    return tmp_path


def run(folder: Path, recipe: Recipe = BYPASS) -> Row:
    return restore_one(str(folder / "in"), str(folder / "out"), JOB, recipe, Rules())


def left(folder: Path) -> set[str]:
    return {path.name for path in (folder / "out").iterdir()}


def test_a_file_that_another_process_is_at_is_left_to_it(folder: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(folder / "out")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as holder:  # type: ignore[call-overload]
        assert holder.stdout.readline() == "held\n"
        part = folder / "out" / ".a.part-0123abcd.mp4"
        part.touch()
        row = run(folder)
        assert row.status == "failed" and "another process is at it" in row.error
        assert part.exists() and receipt_name("a.mp4") not in left(folder)
        holder.kill()
    assert run(folder).status == "restored"
    assert left(folder) == {"a.mp4", receipt_name("a.mp4")}


def test_a_second_hold_waits_for_nobody_and_a_lock_goes_with_its_holder(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for _ in range(3):
        with store.held("a.mp4"):
            with pytest.raises(MediaError, match="another process"), store.held("a.mp4"):
                pass
            with store.held("b.mp4"):
                pass
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_not_the_files_fault(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MediaError("cannot write") from OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patched:
        patched.setattr(one, "restore_video", full)
        assert run(folder).status == "failed"
    assert left(folder) == set()
    assert run(folder).status == "restored"


def test_a_receipt_that_cannot_be_written_costs_the_row_and_no_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr("keeprt.engine.archive.store.write_atomically", full)
    row = run(folder)
    assert row.status == "failed" and "no space left" in row.error


@pytest.mark.parametrize(
    ("error", "machines"),
    [
        (BackendError("no card"), True),
        (MemoryError(), True),
        (OSError(errno.EACCES, "x"), True),
        (MediaError("no video"), False),
        (FileNotFoundError(errno.ENOENT, "x"), False),
        (ZeroDivisionError(), False),
    ],
)
def test_faults_of_the_machine_are_told_from_the_files(error: Exception, machines: bool) -> None:
    assert is_the_machines(error) == machines
    wrapped = MediaError("outer")
    wrapped.__cause__ = error
    assert is_the_machines(wrapped) == (machines and isinstance(error, OSError))


def test_a_file_that_is_given_up_leaves_no_parts(folder: Path) -> None:
    run(folder)
    store = open_store(folder / "out")
    receipt = receipt_of(store, "a.mp4").read()
    assert receipt is not None
    for name in (".a.part-0123abcd.mp4", ".a.mp4.keeprt.lock"):
        (folder / "out" / name).touch()
    assert give_up(str(folder / "out"), JOB, "its worker died").status == "failed"
    assert left(folder) == {"a.mp4", receipt_name("a.mp4")}


def test_threads_do_not_make_another_recipe_and_a_file_of_an_option_does(tmp_path: Path) -> None:
    model = tmp_path / "x2.onnx"
    model.write_bytes(b"one")
    recipe = Recipe(None, {"device": 0}, {"upscaler": str(model), "scale": "2"}, threads=1)
    first = recipe.hash()
    assert Recipe(None, {"device": 1}, {"upscaler": model, "scale": 2}).hash() == first
    assert recipe.with_options({"crf": 30}).hash() != first
    model.write_bytes(b"two")
    os.utime(model, ns=(1, 1))
    assert recipe.hash() != first
