"""The frame on a GPU; needs one, and TensorRT plans of the small network made on it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine import Restorer
from keeprt.engine.devices.cuda.guest import visit_card
from keeprt.engine.frame.lanes import LANES
from keeprt.engine.libraries.tensorrt.run import TensorRtBackend
from tests.gpu import NEEDS_GPU, build_tiny_plans
from tests.networks import faces

pytestmark = NEEDS_GPU

WINDOW = 3
Make = Callable[..., Restorer]


@pytest.fixture
def make(tiny_bundle: Path) -> Make:
    """Frames of the small network on TensorRT, from plans in the bundle's folder."""
    bundle, profile = build_tiny_plans(tiny_bundle, WINDOW)

    def restorer(**options: Any) -> Restorer:
        engines = TensorRtBackend(bundle, "rtx", profile)
        return Restorer(bundle, engines, window=WINDOW, max_faces=2, **options)

    return restorer


def restored(restorer: Restorer, count: int, seed: int = 1) -> list[Any]:
    states, pictures = [restorer.new_state(), restorer.new_state()], []
    for pair in zip(faces(count, seed=seed), faces(count, seed=9), strict=True):
        found, states = restorer.restore(pair, states)
        pictures += found
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


class Recorded:
    """Timed events round each lane's share of each frame, after its waits."""

    def __init__(self, restorer: Restorer, monkeypatch: pytest.MonkeyPatch) -> None:
        from cuda.core import EventOptions

        lanes: Any = restorer._frames._lanes  # type: ignore[attr-defined]
        timed, put = EventOptions(timing_enabled=True), lanes._put
        names = {stream: lane for lane, stream in lanes.streams.items()}
        self.spans: dict[str, list[tuple[Any, Any]]] = {lane: [] for lane in LANES}

        def recorded(stream: Any, steps: Any, slots: Any) -> None:
            start = stream.record(options=timed)
            put(stream, steps, slots)
            self.spans[names[stream]].append((start, stream.record(options=timed)))

        monkeypatch.setattr(lanes, "_put", recorded)


def test_the_next_frame_s_share_runs_beside_the_chain(
    make: Make, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """Told by events on the card: what must wait does, and what need not does not.

    How much it saves is reported, not asserted.
    """
    restorer, pair, count = make(), [faces(1)[0], faces(1, seed=9)[0]], 50
    restorer.warm_up()
    states = [restorer.new_state(), restorer.new_state()]
    spans = Recorded(restorer, monkeypatch).spans
    states = restorer.submit(pair, states)
    for _ in range(count - 1):
        states = restorer.submit(pair, states)
        restorer.collect()
    restorer.collect()
    ahead, chain, after = (spans[lane] for lane in LANES)
    assert len(ahead) == len(chain) == len(after) == count
    for frame in range(count):
        assert chain[frame][0] - ahead[frame][1] >= 0
        assert after[frame][0] - chain[frame][1] >= 0
    beside = sum(chain[t][1] - ahead[t + 1][0] > 0 for t in range(count - 1))
    assert beside > 0, "no frame's share began before the chain of the one before was over"
    record_property("frames_beside_the_chain", f"{beside} of {count - 1}")
    record_property("ms_per_frame_overlapped", (after[-1][1] - ahead[0][0]) / count)
    alone = sum(span[-1][1] - span[-1][0] for span in (ahead, chain, after))
    record_property("ms_of_the_last_frame_s_shares", alone)


def test_a_thousand_frames_take_no_more_memory(make: Make) -> None:
    from cuda.bindings import driver

    restorer, pair = make(), [faces(1)[0], faces(1, seed=9)[0]]
    restorer.warm_up()
    states = [restorer.new_state(), restorer.new_state()]
    _, states = restorer.restore(pair, states)
    with visit_card():
        before = driver.cuMemGetInfo()[1]
    for _ in range(1000):
        _, states = restorer.restore(pair, states)
    with visit_card():
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
