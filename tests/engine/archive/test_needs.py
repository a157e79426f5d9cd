"""What a file asks of a machine is not less than what it takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from keeprt.engine.archive.needs import needs_of_a_file
from tests.engine.media.clips import Clip, make_clip

PEAK = """
import sys
from pathlib import Path
from keeprt.engine.archive.jobs import Job
from keeprt.engine.archive.one import Rules, restore_one
from keeprt.engine.archive.recipe import Recipe
bundle, folder = sys.argv[1] or None, sys.argv[2]
job, recipe = Job("a.mp4", "a.mp4"), Recipe(bundle, threads=1)
row = restore_one(folder, folder + "/out", job, recipe, Rules())
assert row.status == "restored", row
# getrusage would count what the parent had when it started this process.
(peak,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(1024 * int(peak.split()[1]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read in /proc")
@pytest.mark.parametrize("with_network", [False, True])
def test_a_file_takes_no_more_memory_than_it_asks_for(
    with_network: bool, tmp_path: Path, tiny_bundle: Path
) -> None:
    bundle = str(tiny_bundle) if with_network else None
    make_clip(tmp_path / "a.mp4", Clip(pts=tuple(range(30)), width=640, height=368))
    done = subprocess.run(
        [sys.executable, "-c", PEAK, bundle or "", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    asked = needs_of_a_file(bundle, threads=1, pixels=640 * 368).memory_bytes
    assert asked / 4 < int(done.stdout) < asked


def test_a_card_holds_the_network_and_1080p_is_taken_for_granted(tiny_bundle: Path) -> None:
    on_cpu = needs_of_a_file(str(tiny_bundle), threads=2)
    on_card = needs_of_a_file(str(tiny_bundle), threads=2, on_card=True)
    assert on_card.memory_bytes < on_cpu.memory_bytes
    assert on_card.memory_bytes == needs_of_a_file(None, threads=2).memory_bytes > 1_500_000_000
