"""Sessions of pytest on the driver in host memory: what needs a card but no TensorRT runs there.

The driver has to be found when Python starts, so that these tests have processes of their own. A
card's timing is not shown, nor its arithmetic; what is waited for, captured and given back is.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cuda_driver import build
from tests.cuda_driver.mutant import Mutant
from tests.cuda_driver.mutants import MUTANTS
from tests.cuda_driver.picture_mutants import PICTURE_MUTANTS
from tests.long import LONG

ROOT = Path(__file__).parents[2]
CUDA = "tests/engine/devices/cuda"
FRAMES = [f"{CUDA}/test_frames.py", f"{CUDA}/test_card_restorer.py", f"{CUDA}/test_card_video.py"]
FRAMES += [f"{CUDA}/test_card_pipeline.py", f"{CUDA}/test_card_bfloat16.py"]
FRAMES += [f"{CUDA}/test_card_live.py", f"{CUDA}/test_card_times.py"]
FRAMES += [f"{CUDA}/test_card_archive.py", f"{CUDA}/test_card_shrinking.py"]
FRAMES += [f"{CUDA}/test_decoded_frames.py"]
COMING = f"{CUDA}/test_coming_and_going.py"
GUESTS = [f"{CUDA}/test_guests.py", f"{CUDA}/test_arrays.py"]

ALL_MUTANTS = [*MUTANTS, *PICTURE_MUTANTS]

pytestmark = pytest.mark.skipif(bool(build.missing()), reason=build.missing())


@pytest.fixture(scope="session")
def small_bundles(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The option that hands the small bundle to a session, which then imports no torch."""
    folder = tmp_path_factory.mktemp("bundles")
    (folder / "tiny").symlink_to(tiny_bundle)
    return ["--bundles", str(folder)]


def session(
    files: list[str],
    *options: str,
    root: Path = ROOT,
    limit_s: float = 1800,
    **settings: object,
) -> tuple[int, int, str]:
    """How many tests passed and how many did not, and what pytest said."""
    command = [sys.executable, "-m", "pytest", "-q", *files, *options]
    done = subprocess.run(
        command,
        cwd=root,
        env=environment(root, settings),
        capture_output=True,
        text=True,
        timeout=limit_s,
    )
    said = done.stdout + done.stderr
    passed, failed, errors = (
        sum(int(n) for n in re.findall(rf"(\d+) {word}", done.stdout))
        for word in ("passed", "failed", "error")
    )
    return passed, failed + errors + (done.returncode not in (0, 1)), said


def environment(root: Path, settings: dict[str, object]) -> dict[str, str]:
    """With the packages of `root` before those that are installed, and its kernels."""
    found = build.environment(root / "kernels" / "sources", **settings)
    return found if root == ROOT else {**found, "PYTHONPATH": str(root)}


@pytest.mark.slow
@pytest.mark.parametrize("jitter_us", [0, 300])
def test_frames_states_and_whole_frames(jitter_us: int, small_bundles: list[str]) -> None:
    passed, failed, said = session(FRAMES, *small_bundles, jitter_us=jitter_us, devices=2)
    assert passed >= 46 and not failed, said[-6000:]


@pytest.mark.slow
def test_faces_come_and_go_on_two_cards(small_bundles: list[str]) -> None:
    passed, failed, said = session([COMING], *small_bundles, "-m", "not slow", devices=2)
    assert passed >= 9 and not failed, said[-6000:]


@LONG
@pytest.mark.slow
def test_four_thousand_frames(small_bundles: list[str]) -> None:
    passed, failed, said = session(
        [COMING], *small_bundles, "-m", "slow", devices=2, limit_s=4 * 3600
    )
    assert passed == 2 and not failed, said[-6000:]


@pytest.mark.slow
def test_frames_by_pytorch(small_bundles: list[str]) -> None:
    pytest.importorskip("torch")
    passed, failed, said = session([f"{CUDA}/test_card_torch.py"], *small_bundles, jitter_us=300)
    assert passed == 3 and not failed, said[-6000:]


@pytest.mark.slow
def test_the_selftest(small_bundles: list[str]) -> None:
    passed, failed, said = session(["tests/engine/selftest"], *small_bundles)
    assert passed >= 2 and not failed, said[-6000:]


@pytest.mark.slow
def test_guests_of_other_libraries(small_bundles: list[str]) -> None:
    passed, failed, said = session(GUESTS, *small_bundles, "-m", "not slow")
    assert passed >= 15 and not failed, said[-6000:]


@pytest.mark.slow
@pytest.mark.parametrize("jitter_us", [0, 300])
def test_a_detector_s_session(jitter_us: int) -> None:
    passed, failed, said = session([f"{CUDA}/test_card_detector.py"], jitter_us=jitter_us)
    assert passed == 6 and not failed, said[-6000:]


CARDS_IN_THREADS = """
import threading
from keeprt.engine.devices.cuda.guest import visit_card
visits = {}
together = threading.Barrier(8)
def visit(number):
    together.wait()
    visits[number] = visit_card(number % 2)
threads = [threading.Thread(target=visit, args=(number,)) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sorted(visits))
"""


@pytest.mark.slow
def test_the_first_use_of_cards_may_come_from_many_threads() -> None:
    """cuda-core is imported then, which is not safe in two threads at once."""
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", CARDS_IN_THREADS],
            cwd=ROOT,
            env=environment(ROOT, {"devices": 2}),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.stdout.strip() == str(list(range(8))), done.stderr[-3000:]


@pytest.mark.slow
def test_the_kernels_tests_for_a_card() -> None:
    passed, failed, said = session(
        ["tests/kernels/test_gpu_kernels.py"], "-k", "not registers_on_the_card"
    )
    assert passed >= 20 and not failed, said[-6000:]


@pytest.mark.parametrize("mutant", ALL_MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mistake_can_be_put_in_at_one_place(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text().count(mutant.right) == 1


@pytest.mark.slow
@pytest.mark.parametrize("mutant", ALL_MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mistake_that_a_card_would_punish_is_seen(
    mutant: Mutant, tmp_path: Path, small_bundles: list[str]
) -> None:
    """In a copy of the sources; its tests pass without the mistake, which the other tests show."""
    for package in ("engine", "kernels", "tests", "export", "benchmarks"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    (tmp_path / "keeprt").mkdir()
    for package in ("engine", "kernels", "export", "benchmarks"):
        (tmp_path / "keeprt" / package).symlink_to(tmp_path / package)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    file = tmp_path / mutant.file
    text = file.read_text()
    file.write_text(text.replace(mutant.right, mutant.wrong))
    passed, failed, said = session(
        [mutant.tests],
        *small_bundles,
        "-x",
        "-k",
        mutant.keyword,
        root=tmp_path,
        jitter_us=1000,
        devices=2,
    )
    # A session that could not begin, or found no test, has seen nothing.
    seen = re.search(r"^(FAILED|ERROR) \S+::|^Fatal Python error", said, re.MULTILINE)
    assert failed and seen, f"{passed} tests passed with the mistake:\n{said[-3000:]}"
