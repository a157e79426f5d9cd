"""The frame on a GPU; needs one, and TensorRT plans of the small network made on it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine import Restorer, load_bundle
from keeprt.engine.backends.cuda_frames import CudaFrames
from tests.gpu import NEEDS_GPU

from ...networks import faces

pytestmark = NEEDS_GPU

WINDOW = 3
Make = Callable[..., CudaFrames]


@pytest.fixture
def make(tiny_bundle: Path) -> Make:
    """Frames of the small network on TensorRT, from plans in the bundle's folder."""
    tensorrt = pytest.importorskip("keeprt.engine.backends.tensorrt")
    plans = pytest.importorskip("keeprt.engine.plans")
    building = pytest.importorskip("keeprt.engine.backends.tensorrt_plans")
    bundle = load_bundle(tiny_bundle)
    profile = plans.Profile(faces=(1, 1, 2), frames=(2, WINDOW, WINDOW))
    building.build_plans(bundle, building.BuildRequest(profile=profile))

    def frames(**options: Any) -> CudaFrames:
        engines = tensorrt.TensorRtBackend(bundle, "rtx", profile)
        return CudaFrames(bundle, engines, faces=2, window=WINDOW, **options)

    return frames


def restored(frames: CudaFrames, count: int, seed: int = 1) -> list[Any]:
    pictures = []
    for index, pair in enumerate(zip(faces(count, seed=seed), faces(count, seed=9), strict=True)):
        held = min(index, WINDOW)
        pictures += frames.restore([held, held], [0, 1], pair)
    return pictures


def test_replayed_graphs_give_what_eager_gives_bit_for_bit(make: Make) -> None:
    captured, eager = restored(make(), 8), restored(make(eager=True), 8)
    for picture, right in zip(captured, eager, strict=True):
        np.testing.assert_array_equal(picture, right)


def test_frames_agree_with_the_cpu(make: Make, tiny_bundle: Path) -> None:
    """Engines and kernels against ONNX Runtime and the kernels' twins, through the recurrence."""
    found = restored(make(), 8)
    restorer = Restorer.load(tiny_bundle, window=WINDOW, max_faces=2)
    states, expected = [restorer.new_state(), restorer.new_state()], []
    for pair in zip(faces(8, seed=1), faces(8, seed=9), strict=True):
        pictures, states = restorer.restore(pair, states)
        expected += pictures
    for picture, right in zip(found, expected, strict=True):
        difference = np.abs(picture.astype(int) - right.astype(int))
        assert difference.mean() < 0.5 and np.percentile(difference, 99) <= 2


def test_two_frames_in_flight_take_less_time_than_one_after_the_other(make: Make) -> None:
    frames, pair = make(), [faces(1)[0], faces(1, seed=9)[0]]
    held, slots = [WINDOW, WINDOW], [0, 1]
    restored(frames, 8)

    def alone() -> None:
        for _ in range(100):
            frames.restore(held, slots, pair)

    def overlapped() -> None:
        frames.submit(held, slots, pair)
        for _ in range(99):
            frames.submit(held, slots, pair)
            frames.collect()
        frames.collect()

    times: dict[str, list[float]] = {"alone": [], "overlapped": []}
    for _ in range(5):
        for run in (alone, overlapped):
            start = time.perf_counter()
            run()
            times[run.__name__].append(time.perf_counter() - start)
    assert min(times["overlapped"]) < min(times["alone"])


def test_a_thousand_frames_take_no_more_memory(make: Make) -> None:
    from cuda.bindings import driver

    frames, pair = make(), [faces(1)[0], faces(1, seed=9)[0]]
    restored(frames, 8)
    before = driver.cuMemGetInfo()[1]
    for _ in range(1000):
        frames.restore([WINDOW, WINDOW], [0, 1], pair)
    assert driver.cuMemGetInfo()[1] == before


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "initcheck"])
def test_compute_sanitizer_finds_nothing(tool: str) -> None:
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        pytest.skip("compute-sanitizer is not installed")
    this = f"{__file__}::test_replayed_graphs_give_what_eager_gives_bit_for_bit"
    command = [sanitizer, "--tool", tool, "--error-exitcode", "99", sys.executable, "-m", "pytest"]
    done = subprocess.run([*command, "-q", this], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
