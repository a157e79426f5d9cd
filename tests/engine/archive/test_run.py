"""An archive from end to end without an engine: good and broken files, reruns, killed processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from keeprt.engine.archive import one
from keeprt.engine.archive.jobs import find_archive
from keeprt.engine.archive.one import Row, Rules
from keeprt.engine.archive.page import page
from keeprt.engine.archive.recipe import Recipe
from keeprt.engine.archive.run import ArchiveResult, restore_archive
from keeprt.engine.errors import BackendError, FaceError, UsageError
from keeprt.engine.summaries import write_summary
from keeprt.engine.summaries.envelope import write_text
from tests.engine.media.clips import Clip, make_clip

BYPASS = Recipe(bundle=None, options={"preset": "ultrafast"})
GOOD = ("a.mp4", "b/odd [1] 50%.mkv", "c.mov")


def fill(folder: Path) -> Path:
    for name in GOOD:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        make_clip(folder / name, Clip(pts=(0, 1, 2), width=64, height=64))
    (folder / "broken.mp4").write_bytes(b"no video at all")
    return folder


def run(folder: Path, rules: Rules | None = None, recipe: Recipe = BYPASS) -> ArchiveResult:
    archive = find_archive(str(folder / "in"), str(folder / "out"))
    return restore_archive(archive, recipe, rules or Rules())


def statuses(result: ArchiveResult) -> dict[str, str]:
    return {row.source: row.status for row in result.rows}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path / "in")
    return tmp_path


def test_good_files_are_restored_and_a_broken_one_is_a_row(folder: Path) -> None:
    result = run(folder)
    assert statuses(result) == dict.fromkeys(GOOD, "restored") | {"broken.mp4": "failed"}
    assert [row.frames for row in result.rows if row.status == "restored"] == [3, 3, 3]
    (failed,) = result.failed
    assert "broken.mp4" in failed.error and failed.attempts == 1
    left = {str(path.relative_to(folder / "out")) for path in (folder / "out").rglob("*.*")}
    receipts = {"b/.odd [1] 50%.mkv.keeprt.json"}
    receipts |= {f".{name}.keeprt.json" for name in ("a.mp4", "broken.mp4", "c.mov")}
    assert left == {*GOOD, *receipts}


def test_a_rerun_does_what_is_missing_damaged_or_changed_and_nothing_else(folder: Path) -> None:
    run(folder)
    again = run(folder)
    assert statuses(again) == dict.fromkeys(GOOD, "done before") | {"broken.mp4": "failed"}
    assert "--retry-failed" in again.failed[0].error

    (folder / "out" / "a.mp4").unlink()
    make_clip(folder / "in" / "c.mov", Clip(pts=(0, 1, 2, 3), width=64, height=64))
    third = statuses(run(folder))
    assert third["a.mp4"] == third["c.mov"] == "restored"
    assert third[GOOD[1]] == "done before"
    other = statuses(run(folder, recipe=BYPASS.with_options({"crf": 30})))
    assert [other[name] for name in GOOD] == ["restored"] * 3


def test_a_changed_byte_is_found_by_a_deep_look_only(folder: Path) -> None:
    run(folder)
    output = folder / "out" / "a.mp4"
    stat, content = output.stat(), bytearray(output.read_bytes())
    content[-1] ^= 1
    output.write_bytes(content)
    os.utime(output, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert statuses(run(folder))["a.mp4"] == "done before"
    assert statuses(run(folder, Rules(deep=True)))["a.mp4"] == "restored"


def test_a_failed_file_is_tried_again_when_asked_for(folder: Path) -> None:
    run(folder)
    make_clip(folder / "whole.mp4", Clip(pts=(0, 1), width=64, height=64))
    assert run(folder).failed
    (folder / "whole.mp4").replace(folder / "in" / "broken.mp4")  # repaired: another file now
    assert not run(folder).failed


def test_a_file_that_is_not_ours_is_kept(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "a.mp4").write_bytes(b"somebody's")
    (row,) = [row for row in run(folder).failed if row.source == "a.mp4"]
    assert "--overwrite" in row.error
    assert (folder / "out" / "a.mp4").read_bytes() == b"somebody's"
    assert statuses(run(folder, Rules(overwrite=True)))["a.mp4"] == "restored"


def test_a_bad_option_is_found_before_the_first_file(folder: Path) -> None:
    with pytest.raises(UsageError, match="strength"):
        run(folder, recipe=BYPASS.with_options({"strength": 2}))
    assert not (folder / "out").exists()


@pytest.mark.parametrize("name", ["identity", "upscaler"])
@pytest.mark.parametrize("content", [None, b"no network"])
def test_a_network_that_is_not_there_is_no_files_failure(
    folder: Path, name: str, content: bytes | None
) -> None:
    model = folder / "model.onnx"
    if content is not None:
        model.write_bytes(content)
    given = {name: str(model), "scale": "2"}
    with pytest.raises((FaceError, UsageError, BackendError), match=r"model\.onnx"):
        run(folder, recipe=BYPASS.with_options(given))
    lines = [json.dumps({"source": "in/a.mp4"}), json.dumps({"source": "in/c.mov", **given})]
    (folder / "list.jsonl").write_text("\n".join(lines))
    archive = find_archive(str(folder / "list.jsonl"), str(folder / "out"))
    with pytest.raises((FaceError, UsageError, BackendError), match=r"model\.onnx"):
        restore_archive(archive, BYPASS)
    assert not (folder / "out").exists()


def test_an_interrupted_file_leaves_neither_output_nor_receipt(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(one, "restore_video", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(folder)
    assert list((folder / "out").rglob("*.*")) == []


SLOW = """
import sys, time
from pathlib import Path
from keeprt.engine.archive import one
from keeprt.engine.archive.jobs import find_archive
from keeprt.engine.archive.recipe import Recipe
from keeprt.engine.archive.run import restore_archive
wanted, inner = sys.argv[3], one.restore_video
def slow(source, *rest):
    if Path(source.info.path).name == wanted:
        return inner(source, *rest[:-1], lambda: (print("in it", flush=True), time.sleep(60)))
    return inner(source, *rest)
one.restore_video = slow
recipe = Recipe(bundle=None, options={"preset": "ultrafast"})
restore_archive(find_archive(sys.argv[1], sys.argv[2]), recipe)
"""


def killed_at(folder: Path, name: str) -> None:
    """A process that is killed outright in the middle of one file."""
    arguments = [str(folder / "in"), str(folder / "out"), name]
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in it\n"
        process.send_signal(signal.SIGKILL)


def test_after_a_kill_the_rest_is_done_and_no_part_is_left(folder: Path) -> None:
    killed_at(folder, "c.mov")
    assert list((folder / "out").glob(".c.part-*"))
    result = run(folder)
    assert statuses(result)["a.mp4"] == "done before"
    assert statuses(result)["c.mov"] == "restored"
    assert [row.attempts for row in result.rows if row.source == "c.mov"] == [2]
    assert not list((folder / "out").rglob("*.part*"))


@pytest.mark.slow
def test_a_file_that_kills_its_process_is_given_up(folder: Path) -> None:
    for _ in range(2):
        killed_at(folder, "a.mp4")
    (row,) = [row for row in run(folder, Rules(attempts=2)).failed if row.source == "a.mp4"]
    assert "2 processes died of it" in row.error
    assert statuses(run(folder, Rules(attempts=2, retry_failed=True)))["a.mp4"] == "restored"


@pytest.fixture
def bucket() -> Iterator[str]:
    memory = fsspec.filesystem("memory")
    yield "memory://bucket"
    memory.rm("/bucket", recursive=True)


def test_folders_may_be_in_an_object_store(tmp_path: Path, bucket: str) -> None:
    local, memory = fill(tmp_path / "in"), fsspec.filesystem("memory")
    memory.put(str(local), "/bucket/in", recursive=True)
    archive = find_archive(f"{bucket}/in", f"{bucket}/out")
    first = restore_archive(archive, BYPASS)
    assert statuses(first) == dict.fromkeys(GOOD, "restored") | {"broken.mp4": "failed"}
    assert statuses(restore_archive(archive, BYPASS))["a.mp4"] == "done before"
    plain = run(tmp_path)
    assert not [row for row in plain.rows if row.status == "done before"]
    for name in ("a.mp4", "c.mov"):  # Matroska holds random numbers
        assert memory.cat_file(f"/bucket/out/{name}") == (tmp_path / "out" / name).read_bytes()


def test_what_is_no_file_or_has_no_name_in_utf8_is_a_row_like_any(folder: Path) -> None:
    (folder / "in" / "sub").mkdir()
    (folder / "in" / "sub" / "loop").symlink_to(folder / "in")
    (folder / "in" / "gone.mp4").symlink_to("nowhere")
    os.mkfifo(folder / "in" / "pipe.mp4")
    odd = "\udcff.mp4"
    make_clip(folder / "made.mp4", Clip(pts=(0, 1), width=64, height=64))
    (folder / "made.mp4").replace(folder / "in" / odd)
    result = run(folder)
    failed = dict.fromkeys(("broken.mp4", "gone.mp4", "pipe.mp4"), "failed")
    assert statuses(result) == dict.fromkeys((*GOOD, odd), "restored") | failed
    errors = {row.source: row.error for row in result.failed}
    assert "is no file" in errors["pipe.mp4"] and "no such file" in errors["gone.mp4"]
    write_text(folder / "page.html", page(result))
    write_summary(folder / "report.json", "archive", {"rows": [vars(row) for row in result.rows]})
    rows = json.loads((folder / "report.json").read_text())["result"]["rows"]
    assert {row["source"] for row in rows} == {row.source for row in result.rows}


def test_progress_counts_and_says_what_is_left(folder: Path) -> None:
    said: list[tuple[Row, str]] = []
    archive = find_archive(str(folder / "in"), str(folder / "out"))
    restore_archive(archive, BYPASS, on_row=lambda row, now: said.append((row, str(now))))
    assert [text.split(" files")[0] for _, text in said] == ["1/4", "2/4", "3/4", "4/4"]
    assert "1 failed, 9 frames" in said[-1][1]
    assert json.dumps([vars(row) for row, _ in said])
