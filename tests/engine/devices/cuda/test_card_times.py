"""Times of frames by CUDA events, and steadiness, on the driver in host memory: which operation a
time is of, not how long a card takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine import Restorer, load_bundle
from keeprt.engine.devices.cuda import runs
from keeprt.engine.errors import BackendError, UsageError
from tests.cuda_driver.engines import HostEngines
from tests.cuda_driver.session import ON_DRIVER
from tests.engine.devices.cuda.conftest import Card
from tests.networks import faces

pytestmark = ON_DRIVER

WINDOW, SLEEP_MS = 3, 60.0


class SlowEngines(HostEngines):
    """One subgraph sleeps; `slow` names it."""

    slow = "decoder"

    def host_run(self, subgraph: str, inputs: Any, outputs: Any) -> Callable[[], None]:
        run = super().host_run(subgraph, inputs, outputs)

        def slowly() -> None:
            run()
            time.sleep(SLEEP_MS / 1e3 if subgraph == self.slow else 0)

        return slowly


@pytest.fixture
def slow(card: Card, tiny_bundle: Path) -> Iterator[Restorer]:
    bundle = load_bundle(tiny_bundle)
    engines = SlowEngines(bundle)
    with Restorer(bundle, engines, window=WINDOW) as restorer:
        yield restorer
    assert engines.errors == []


def test_a_frame_s_time_is_found_in_the_operation_that_took_it(
    slow: Restorer, tiny_bundle: Path
) -> None:
    cpu, video = Restorer.load(tiny_bundle, threads=1, window=WINDOW), faces(6)
    right, state = cpu.new_state(), slow.new_state()
    with slow.profiled() as frames:
        for picture in video:
            restored, state = slow.restore(picture, state)
            expected, right = cpu.restore(picture, right)
            np.testing.assert_array_equal(restored, expected)
    assert len(frames) == len(video)
    first, *_, steady = frames
    operations = slow._frames._graph.stream([WINDOW])  # type: ignore[attr-defined]
    assert {*steady.stages_ms, "download"} == {operation.name for operation in operations}
    assert "warp" not in first.stages_ms
    for times in frames:
        assert min(times.stages_ms.values()) >= 0 and min(times.h2d_ms, times.d2h_ms) > 0
        assert times.gpu_compute_ms >= times.stages_ms["decoder"] >= SLEEP_MS
        assert times.latency_ms == times.h2d_ms + times.gpu_compute_ms + times.d2h_ms
        assert times.end_to_end_ms >= times.gpu_compute_ms
        assert 0 < times.enqueue_ms < times.end_to_end_ms


def test_a_card_s_floors_stand_beside_the_stages_that_it_timed(
    slow: Restorer, tiny_bundle: Path
) -> None:
    """By a made source of rates: none of them is a card's."""
    from keeprt.benchmarks.bench.cost import stream_costs
    from keeprt.benchmarks.bench.hardware.rates import Rates
    from keeprt.benchmarks.bench.harness import Run
    from keeprt.benchmarks.bench.results import WHOLE, contender_result, physics_rows
    from keeprt.benchmarks.bench.rivals.contenders import Case
    from keeprt.benchmarks.bench.rivals.worker import Sample

    made = Rates(1000, 100, of="this card (made)", sheet="made sheet")
    state = slow.new_state()
    with slow.profiled() as frames:
        for picture in faces(6):
            _, state = slow.restore(picture, state)
    costs = stream_costs(load_bundle(tiny_bundle), 1, WINDOW)
    run = Run("keeprt", rounds=[[Sample(0.5, {}, 1)]], profile=frames[2:])
    rows = dict(physics_rows(contender_result(run, Case("stream", 1, WINDOW, 4), costs, made)))
    assert set(rows) == {*costs, WHOLE}
    decoder = costs["decoder"]
    floor_s = made.floor_s(decoder.flop, decoder.must_move_bytes)
    assert rows["decoder"].floor_ms == pytest.approx(1e3 * floor_s)
    assert rows["decoder"].times_floor >= SLEEP_MS / 1e3 / floor_s
    assert rows[WHOLE].times_floor == pytest.approx(500 / rows[WHOLE].floor_ms)


def test_frames_are_timed_within_and_alone(slow: Restorer, tiny_bundle: Path, card: Card) -> None:
    picture, states = faces(1), [slow.new_state()]
    with slow.profiled() as frames:
        states = slow.submit(picture, states)
        with pytest.raises(UsageError, match="frames are in flight: collect"):
            slow.submit(picture, states)
        slow.collect()
    states = slow.submit(picture, states)
    with pytest.raises(UsageError, match="frames are in flight"):
        slow.profiled()
    slow.collect()
    assert len(frames) == 1
    with pytest.raises(UsageError, match="no times on a card: read stage_seconds"):
        Restorer.load(tiny_bundle, threads=1).profiled()


def test_a_frame_that_fails_is_not_timed_and_the_next_one_is(slow: Restorer) -> None:
    engines: Any = slow._frames._engines  # type: ignore[attr-defined]
    with slow.profiled() as frames:
        engines.fails = "decoder"
        with pytest.raises(BackendError, match="decoder refused"):
            slow.restore(faces(1)[0], slow.new_state())
        engines.fails = ""
        slow.restore(faces(1)[0], slow.new_state())
    assert len(frames) == 1 and frames[0].stages_ms["decoder"] >= SLEEP_MS


def test_what_is_bound_and_captured_is_counted_until_frames_are_steady(
    card: Card, slow: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines: Any = slow._frames._engines  # type: ignore[attr-defined]
    assert slow.prepared == 0
    slow.warm_up()
    assert slow.prepared == len(engines.keys) + card.captures > 0
    before, state = slow.prepared, slow.new_state()
    for picture in faces(WINDOW + 3):
        _, state = slow.restore(picture, state)
    assert slow.prepared == before
    monkeypatch.setattr(runs, "KEPT_RUNS", 2)
    slow._frames._kinds.clear()  # type: ignore[attr-defined]
    slow.restore(faces(1)[0], slow.new_state())
    assert slow.prepared == len(engines.keys) + card.captures


def test_bench_times_a_card_in_a_run_of_its_own_once_frames_are_steady(
    card: Card, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user's bench goes, but for its processes: two contenders, rounds, then the profile."""
    from keeprt.benchmarks.bench.card_times import WORDS
    from keeprt.benchmarks.bench.hardware.rates import Rates
    from keeprt.benchmarks.bench.harness import run_case
    from keeprt.benchmarks.bench.results import BenchResult, CaseResult, contender_result
    from keeprt.benchmarks.bench.results_file import load_result
    from keeprt.benchmarks.bench.rivals.contenders import Case, EngineContender
    from keeprt.benchmarks.bench.rivals.plain_onnx import PlainOnnx
    from keeprt.benchmarks.bench.rivals.worker import Local

    bundle = load_bundle(tiny_bundle)
    made = Restorer(bundle, SlowEngines(bundle), window=WINDOW)  # no warm-up: the settling does it
    monkeypatch.setattr(Restorer, "load", lambda *given, **how: made)
    case, rates = Case("stream", 1, WINDOW, 4, 1), Rates(1, 1)
    makers = {
        "keeprt": lambda: Local(lambda: EngineContender(tiny_bundle, case, "rtx")),
        "onnxruntime": lambda: Local(lambda: PlainOnnx(tiny_bundle, case)),
    }
    ran = run_case(case, makers, faces(4), rounds=2, calls=2, profiled=3)
    ours, rival = (contender_result(run, case, {}, rates) for run in ran)
    assert not ours.failure and ours.prepared == 0 and made.prepared > 0
    assert ours.card is not None and rival.card is None
    assert ours.card.latency.count == 3 and ours.card.gpu_compute.p50 >= SLEEP_MS
    assert {stage.stage for stage in ours.card.stages} >= {*bundle.subgraphs, "warp"}
    about = {"identity": "ab", "weights": "synthetic:3"}
    found = BenchResult({}, about, "", rates, (CaseResult(case, rates, (rates,), (ours, rival)),))
    found.write_json(tmp_path / "bench.json")
    again = load_result(tmp_path / "bench.json").cases[0].contenders[0]
    assert again.card == ours.card and list(dict(ours.card.rows()))[: len(WORDS)] == [
        *("latency", "enqueue", "H2D", "GPU compute", "D2H", "end to end")
    ]
    made.close()
