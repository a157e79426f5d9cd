"""An archive on Ray. It listens on every interface, so all of it runs where there is only one."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from keeprt.engine.archive.jobs import find_archive
from keeprt.engine.archive.needs import Needs
from keeprt.engine.archive.on_ray import OnRay
from keeprt.engine.archive.run import restore_archive
from keeprt.engine.errors import BackendError
from tests.engine.archive.test_run import BYPASS, GOOD, fill
from tests.engine.media.clips import Clip, make_clip

DRIVER = Path(__file__).with_name("ray_driver.py")
ALONE = ["unshare", "--net", "--kill-child", "--pid", "--fork", "sh", "-c"]
TIMEOUT_S = 600  # of a machine that does much else; a minute otherwise


def why_not() -> str:
    """Why Ray cannot be tried here, "" where it can."""
    if importlib.util.find_spec("ray") is None:
        return "Ray is not installed"
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return "no unshare or ip: Ray is not started where others could reach it"
    tried = subprocess.run([*ALONE, "ip link set lo up"], capture_output=True, timeout=60)
    return "" if tried.returncode == 0 else "a network namespace is not allowed here"


REASON = why_not()
needs_ray = [pytest.mark.slow, pytest.mark.skipif(bool(REASON), reason=REASON)]
Rows = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Story:
    """What three runs over one archive gave; starting Ray is what takes long, so they share it.

    first: one worker is killed once, one file kills its worker each time, and the driver is killed
    in the middle of the last file. second: after an output was damaged. third: nothing is left.
    """

    folder: Path
    first: Rows
    parts_then: list[str]
    second: Rows
    third: Rows


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("ray")
    make_clip(fill(folder / "in") / "d.mp4", Clip(pts=(0, 1, 2), width=64, height=64))
    steering = folder / "steering"
    steering.mkdir()
    for told, name in {"once": "a.mp4", "poison": "c.mov", "slow": "d.mp4"}.items():
        (steering / told).write_text(name)
    with driver(folder, runs=1) as process:
        first = rows(process, 4)
        os.killpg(process.pid, signal.SIGKILL)
    parts = [path.name for path in (folder / "out").rglob("*.part*")]
    for told in steering.iterdir():
        told.unlink()
    (folder / "out" / "a.mp4").write_bytes(b"damaged")
    with driver(folder, runs=2) as process:
        second, third = rows(process, 5), rows(process, 5)
        assert process.wait(TIMEOUT_S) == 0
    return Story(folder, first, parts, second, third)


def driver(folder: Path, runs: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(DRIVER), *(str(folder / n) for n in ("in", "out", "steering"))]
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(Path.cwd())}
    return subprocess.Popen(
        [*ALONE, 'ip link set lo up && exec "$@"', "sh", *command, str(runs)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )


def rows(process: subprocess.Popen[str], count: int) -> Rows:
    """The next rows that the driver prints; Ray's own words are between them."""
    assert process.stdout is not None
    watch = Timer(TIMEOUT_S, process.kill)
    watch.start()
    try:
        lines = (line for line in process.stdout if line.startswith("{"))
        found = [json.loads(line) for line in islice(lines, count)]
    finally:
        watch.cancel()
    assert len(found) == count, "the driver ended early, or took too long"
    return {row["source"]: row for row in found}


def statuses(found: Rows) -> dict[str, str]:
    return {name: row["status"] for name, row in found.items()}


class TestStory:
    pytestmark = needs_ray

    def test_a_killed_worker_costs_nothing(self, story: Story) -> None:
        assert statuses(story.first)["a.mp4"] == statuses(story.first)[GOOD[1]] == "restored"
        assert story.first["a.mp4"]["attempts"] == 2

    def test_a_file_that_kills_its_worker_is_one_failed_row(self, story: Story) -> None:
        assert statuses(story.first)["c.mov"] == "failed"
        assert "its worker died 2 times" in story.first["c.mov"]["error"]
        assert "tried before" in story.second["c.mov"]["error"]

    def test_after_the_drivers_death_exactly_the_rest_is_done(self, story: Story) -> None:
        assert not [name for name in story.parts_then if not name.startswith(".d.part-")]
        failed = dict.fromkeys(("broken.mp4", "c.mov"), "failed")
        rest = {"a.mp4": "restored", "d.mp4": "restored", GOOD[1]: "done before"}
        assert statuses(story.second) == failed | rest
        done = dict.fromkeys(("a.mp4", "d.mp4", GOOD[1]), "done before")
        assert statuses(story.third) == failed | done

    def test_nothing_but_outputs_and_receipts_is_left(self, story: Story) -> None:
        out = story.folder / "out"
        left = {path.name for path in out.rglob("*") if path.is_file()}
        names = ["a.mp4", "d.mp4", Path(GOOD[1]).name]
        receipts = {f".{name}.keeprt.json" for name in (*names, "broken.mp4", "c.mov")}
        assert left == {*names, *receipts}

    def test_the_bytes_are_those_of_a_plain_loop(self, story: Story) -> None:
        plain = story.folder / "plain"
        recipe = replace(BYPASS, threads=1)
        restore_archive(find_archive(str(story.folder / "in"), str(plain)), recipe)
        for name in ("a.mp4", "d.mp4"):  # Matroska holds random numbers
            assert (story.folder / "out" / name).read_bytes() == (plain / name).read_bytes()


@dataclass
class Cluster:
    """As far as `OnRay` looks before it begins."""

    resources: dict[str, float]

    def nodes(self) -> list[dict[str, Any]]:
        gone = {"Alive": False, "Resources": {"CPU": 999, "memory": 1e15, "GPU": 8}}
        return [gone, {"Alive": True, "Resources": self.resources}]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (OnRay(Needs(4, 10)), None),
        (OnRay(Needs(5, 10)), "5 processors"),
        (OnRay(Needs(1, 3_000_000_000)), "3.0 GB"),
        (OnRay(Needs(1, 10), gpus_per_file=0.5), "0.5 of a card"),
    ],
)
def test_what_no_machine_has_is_refused_and_not_waited_for(asked: OnRay, said: str | None) -> None:
    cluster = Cluster({"CPU": 4.0, "memory": 2e9})
    if said is None:
        asked._refuse_too_much(cluster)
        return
    with pytest.raises(BackendError, match=said):
        asked._refuse_too_much(cluster)
    replace(asked, address="auto")._refuse_too_much(cluster)  # a machine may join later
