"""The harness on contenders whose times and failures are known."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from keeprt.benchmarks.bench.hardware.rates import Rates
from keeprt.benchmarks.bench.harness import run_case
from keeprt.benchmarks.bench.results import BETWEEN, contender_result
from keeprt.benchmarks.bench.rivals.contenders import (
    Case,
    ContenderError,
    EngineContender,
    pictures_for,
)
from keeprt.benchmarks.bench.rivals.worker import Local, Sample
from keeprt.engine.bundle.load import load_bundle
from keeprt.engine.errors import UsageError
from keeprt.engine.libraries.onnxruntime.sessions import OnnxRuntimeBackend
from keeprt.engine.restorer import Restorer
from tests.networks import faces

STREAM = Case("stream", faces=1, window=3, chunk=4, threads=1)
SLEEP_S = 0.3


@dataclass
class Scripted:
    """Notes its calls in a shared log; its steady calls sleep, or fail from one on."""

    name: str
    log: list[str] = field(default_factory=list)
    sleep_s: float = 0.0
    fails_at: int = 10**9
    error: type[Exception] = ContenderError
    calls: int = 0

    def load(self) -> None:
        self.log.append(f"{self.name} loads")

    def first(self, pictures: Sequence[Any]) -> dict[str, float]:
        self.log.append(f"{self.name} first")
        return {}

    def settle(self, pictures: Sequence[Any]) -> None:
        self.log.append(f"{self.name} settles")

    def call(self, pictures: Sequence[Any]) -> dict[str, float]:
        self.log.append(self.name)
        self.calls += 1
        if self.calls >= self.fails_at:
            raise self.error("out of everything")
        time.sleep(self.sleep_s)
        return {"sleeping": self.sleep_s}


def test_with_two_in_flight_a_call_takes_the_frame_before(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contender, clip = EngineContender(tiny_bundle, STREAM, in_flight=True), faces(5)
    contender.load()
    alone, given = Restorer.load(tiny_bundle, threads=1, window=3), []
    collect = contender._restorer.collect
    monkeypatch.setattr(contender._restorer, "collect", lambda: given.extend(collect()))
    contender.first(clip[:1])
    assert contender._restorer.in_flight == 0 and len(given) == 1
    for picture in clip[1:]:
        contender.call([picture])
        assert contender._restorer.in_flight == 1
    state = alone.new_state()
    for picture, restored in zip(clip, given, strict=False):
        right, state = alone.restore(picture, state)
        assert (restored == right).all()
    assert len(given) == 4


def participants(*contenders: Scripted) -> dict[str, Callable[[], Local]]:
    return {one.name: (lambda one=one: Local(lambda: one)) for one in contenders}


def test_rounds_interleave_and_each_begins_with_another() -> None:
    log: list[str] = []
    scripted = [Scripted(name, log) for name in "abc"]
    runs = run_case(STREAM, participants(*scripted), faces(3), rounds=4, calls=2)
    started = [f"{name} {what}" for name in "abc" for what in ("loads", "first", "settles")]
    assert log[:9] == started
    assert "".join(log[9:]) == "aabbcc" + "bbccaa" + "ccaabb" + "aabbcc"
    assert [run.name for run in runs] == ["a", "b", "c"]
    assert all([len(round_) for round_ in run.rounds] == [2, 2, 2, 2] for run in runs)


@pytest.mark.parametrize("error", [ContenderError, MemoryError])
def test_a_contender_that_fails_stays_in_the_table_and_the_others_go_on(
    error: type[Exception],
) -> None:
    log: list[str] = []
    bad = Scripted("bad", log, fails_at=2, error=error)
    runs = run_case(STREAM, participants(Scripted("good", log), bad), faces(3), rounds=3, calls=1)
    good, failed = runs
    assert len(good.rounds) == 3 and not good.failure
    assert failed.failure == "out of everything" and len(failed.rounds) == 1
    assert log.count("bad") == 2
    result = contender_result(failed, STREAM, {}, Rates(1, 1))
    assert result.call_ms is None and result.failure == "out of everything"


class TenSeconds(Local):
    """Says that each call took ten."""

    def round(self, calls: Sequence[Sequence[Any]]) -> list[Sample]:
        return [replace(sample, seconds=10.0) for sample in super().round(calls)]


@pytest.mark.parametrize(("fails_at", "rounds"), [(10**9, 5), (4, 3)])
def test_rounds_go_on_until_the_first_was_timed_for_long_enough(fails_at: int, rounds: int) -> None:
    """Where it fails, as many as were asked for are left to the others."""
    ours, rival = Scripted("a", fails_at=fails_at), Scripted("b")
    makers = {one.name: (lambda one=one: TenSeconds(lambda: one)) for one in (ours, rival)}
    found, other = run_case(STREAM, makers, faces(3), rounds=2, calls=1, least_s=45)
    assert len(found.rounds) == rounds and len(other.rounds) >= rounds
    assert bool(found.failure) == (fails_at == 4)


def test_errors_of_ours_end_the_run() -> None:
    bad = Scripted("bad", fails_at=1, error=UsageError)
    with pytest.raises(UsageError, match="out of everything"):
        run_case(STREAM, participants(bad), faces(3), rounds=1, calls=1)


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one round"):
        run_case(STREAM, participants(Scripted("a")), faces(3), rounds=0, calls=1)


class SleepingBackend(OnnxRuntimeBackend):
    """Every run of the HQ encoder takes a known time longer."""

    def bind(self, subgraph: str, inputs: Any, outputs: Any) -> Callable[[], None]:
        run = super().bind(subgraph, inputs, outputs)
        if subgraph != "hq_encoder":
            return run

        def slower() -> None:
            time.sleep(SLEEP_S)
            run()

        return slower


class Loaded(EngineContender):
    """The contender with a restorer that was made before."""

    def __init__(self, bundle: Path, case: Case, restorer: Restorer) -> None:
        super().__init__(bundle, case)
        self._restorer = restorer

    def load(self) -> None:
        pass


def engine(bundle: Path, backend: type[OnnxRuntimeBackend], case: Case) -> Loaded:
    checked = load_bundle(bundle)
    restorer = Restorer(
        checked, backend(checked, threads=1), mode=case.mode, window=case.window, chunk=case.chunk
    )
    return Loaded(bundle, case, restorer)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stream", "clip"])
def test_a_stage_with_a_known_sleep_is_measured_right(tiny_bundle: Path, mode: Any) -> None:
    case = Case(mode, faces=1, window=3, chunk=4, threads=1)
    makers = {
        name: (lambda backend=backend: Local(lambda: engine(tiny_bundle, backend, case)))
        for name, backend in (("plain", OnnxRuntimeBackend), ("sleeping", SleepingBackend))
    }
    runs = run_case(case, makers, faces(4), rounds=2, calls=2 if mode == "stream" else 1)
    plain, sleeping = (contender_result(run, case, {}, Rates(1, 1)) for run in runs)
    # A chunk's first frame has no prediction: three of four frames sleep.
    per_frame_ms = 1e3 * SLEEP_S * (1.0 if mode == "stream" else 0.75)
    stages = {stage.stage: stage.ms for stage in sleeping.stages}
    assert stages["hq_encoder"].p50 >= per_frame_ms
    assert sleeping.frame_ms is not None and plain.frame_ms is not None
    assert sleeping.frame_ms.p50 >= per_frame_ms
    # The sleep belongs to its stage and to the whole, and to nothing else: each of the others
    # takes as long as without it, as far as a busy machine lets that be said.
    others = [ms.p50 for name, ms in stages.items() if name != "hq_encoder"]
    assert max(others) < stages["hq_encoder"].p50
    between = sum(ms.p50 for name, ms in stages.items() if name == BETWEEN)
    assert between < 0.5 * per_frame_ms


def test_stages_and_what_is_between_them_add_up_to_the_call() -> None:
    slow = Scripted("slow", sleep_s=0.05)
    (run,) = run_case(STREAM, participants(slow), faces(3), rounds=1, calls=2)
    result = contender_result(run, STREAM, {}, Rates(1, 1))
    by_name = {stage.stage: stage.ms.mean for stage in result.stages}
    assert result.call_ms is not None and result.call_ms.mean >= 50
    assert sum(by_name.values()) == pytest.approx(result.call_ms.mean)
    assert by_name["sleeping"] == pytest.approx(50)


def test_pictures_go_back_and_forth_and_differ_between_the_faces_of_a_batch() -> None:
    clip = faces(3)
    case = Case("stream", faces=2, window=3, chunk=4)
    shown = [
        [next(i for i, known in enumerate(clip) if (known == one).all()) for one in given]
        for given in (pictures_for(case, clip, index) for index in range(5))
    ]
    assert shown == [[0, 1], [1, 2], [2, 1], [1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("film", 1, 8, 20), "unknown mode 'film'"),
        (("stream", 0, 8, 20), "faces must be at least 1"),
        (("clip", 2, 8, 20), "clip mode restores one face"),
    ],
)
def test_impossible_cases_are_refused(arguments: tuple[Any, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Case(*arguments)
