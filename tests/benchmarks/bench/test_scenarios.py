"""What each scenario runs: frames in flight, new processes, batches that are tried."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from keeprt.benchmarks.bench.cold import FIRST, LOAD, forget_files, run_cold
from keeprt.benchmarks.bench.hardware.rates import Rates
from keeprt.benchmarks.bench.results import contender_result
from keeprt.benchmarks.bench.rivals.contenders import (
    Case,
    ContenderError,
    EngineContender,
    pictures_for,
)
from keeprt.benchmarks.bench.rivals.worker import Local
from keeprt.benchmarks.bench.run import Options, cases_of
from keeprt.benchmarks.bench.scenarios import SCENARIOS
from keeprt.engine.errors import UsageError
from keeprt.engine.restorer import Restorer
from tests.benchmarks.bench.test_command import bench  # noqa: F401
from tests.networks import faces

COLD = Case("stream", 1, 3, 4, 1, "cold")


def test_a_scenario_says_what_runs_where_nothing_is_asked_for() -> None:
    tried = [case.faces for case in cases_of(Options(Path(), scenario="throughput"))]
    assert tried == [1, 2, 4, 8]
    assert [case.faces for case in cases_of(Options(Path(), scenario="latency"))] == [1]
    asked = cases_of(Options(Path(), scenario="throughput", faces=(2,)))
    assert [(case.faces, case.in_flight) for case in asked] == [(2, 2)]
    for scenario in SCENARIOS.values():
        assert "MLPerf" in scenario.statement()


def test_a_scenario_of_streams_takes_no_clips() -> None:
    with pytest.raises(UsageError, match="the scenario throughput is of stream mode"):
        Case("clip", 1, 3, 4, 1, "throughput")
    with pytest.raises(UsageError, match="unknown scenario 'offline'; there are latency"):
        Case("stream", 1, 3, 4, 1, "offline")


def test_two_frames_are_in_flight_and_the_pictures_stay_the_same(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flying: list[int] = []
    collected: list[Any] = []
    collect = Restorer.collect

    def watched(self: Restorer) -> Any:
        flying.append(self.in_flight)
        collected.append(collect(self))
        return collected[-1]

    monkeypatch.setattr(Restorer, "collect", watched)
    case = Case("stream", 1, 3, 4, 1, "throughput")
    contender, clip = EngineContender(tiny_bundle, case), faces(5)
    contender.load()
    contender.first(pictures_for(case, clip, 0))
    for index in range(1, 4):
        contender.call(pictures_for(case, clip, index))
    assert flying == [1, 2, 2], "the first frame is taken back at once"
    contender.settle(pictures_for(case, clip, 4))
    assert contender._restorer.in_flight == 1, "the next call submits the second"
    again = Restorer.load(tiny_bundle, threads=1, window=3)
    state = again.new_state()
    for index in range(3):
        expected, state = again.restore(pictures_for(case, clip, index)[0], state)
        assert (collected[index][0] == expected).all()


@dataclass
class Started:
    """A contender that notes its starts; it fails at one of them."""

    log: list[str]
    fails_at: int = 0
    states: list[int] = field(default_factory=list)

    def load(self) -> None:
        self.log.append("load")
        if len(self.log) == self.fails_at:
            raise ContenderError("no more")

    def first(self, pictures: Sequence[Any]) -> dict[str, float]:
        return {"decoder": 0.0}


def test_every_cold_round_is_a_new_start(tmp_path: Path) -> None:
    logs: dict[str, list[str]] = {"a": [], "b": []}
    makers: dict[str, Callable[[], Local]] = {
        "a": lambda: Local(lambda: Started(logs["a"])),  # type: ignore[arg-type,return-value]
        "b": lambda: Local(lambda: Started(logs["b"], fails_at=2)),  # type: ignore[arg-type,return-value]
    }
    good, bad = run_cold(COLD, makers, faces(2), tmp_path, rounds=3)
    assert len(logs["a"]) == 3 and len(logs["b"]) == 2, "what failed is not started again"
    assert [len(round_) for round_ in good.rounds] == [1, 1, 1]
    assert bad.failure == "no more" and len(bad.rounds) == 1
    result = contender_result(good, COLD, {}, Rates(1, 1))
    assert [stage.stage for stage in result.stages] == [LOAD, FIRST]
    assert result.call_ms is not None
    assert sum(stage.ms.mean for stage in result.stages) == pytest.approx(result.call_ms.mean)


def test_files_are_dropped_from_the_cache_before_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "weights").write_bytes(b"x" * 10)
    advised: list[Any] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda *given: advised.append(given[1:]))
    forget_files(tmp_path)
    assert advised == [(0, 0, os.POSIX_FADV_DONTNEED)]


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["throughput", "cold"])
def test_scenarios_from_the_command_line(
    bench: Any,  # noqa: F811
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scenario: str,
) -> None:
    from keeprt.benchmarks.bench.hardware import rates

    monkeypatch.setattr(rates, "COPY_BYTES", 8 << 20)
    monkeypatch.setattr(rates, "MATRIX_SIZE", 256)
    out, page = tmp_path / "bench.json", tmp_path / "bench.html"
    more = ["--frames", 2, "--faces", "2"] if scenario == "throughput" else []
    code, printed, errors = bench(
        *(tiny_bundle, "--scenario", scenario, "--rivals", "onnxruntime", "--rounds", 2),
        *("--window", 3, "--threads", 1, "--json", out, "--report", page, *more),
    )
    assert code == 0, errors
    content = json.loads(out.read_text())["result"]
    (case,) = content["cases"]
    assert case["case"]["scenario"] == scenario and scenario in content["scenario"]
    assert "nearest in MLPerf" in page.read_text()
    stages = [stage["stage"] for stage in case["contenders"][0]["stages"]]
    if scenario == "cold":
        assert stages == [LOAD, FIRST] and not content["streams"]
        assert "cold start" in printed
    else:
        assert "two in flight" in printed and "decoder" in stages


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scenario", "offline"], "--scenario is 'offline': give latency, throughput, cold or"),
        (["--scenario", "cold", "--frames", 3], "--frames has no effect in the scenario cold"),
        (["--scenario", "live", "--rounds", 3], "--rounds has no effect in the scenario live"),
        (["--rates", "25"], "--rates has no effect in another scenario than live"),
        (["--scenario", "live", "--rates", "x"], "'x' is no rate"),
        (["--scenario", "live", "--size", "321x180"], "--size '321x180': give even numbers"),
        (["--scenario", "live", "--delay", "auto"], "--delay auto: a deadline that moves"),
        (["--scenario", "cold", "--mode", "clip"], "--scenario has no effect in clip mode"),
    ],
)
def test_what_a_scenario_cannot_take(
    bench: Any,  # noqa: F811
    tiny_bundle: Path,
    arguments: list[Any],
    said: str,
) -> None:
    code, _, errors = bench(tiny_bundle, *arguments)
    assert code == 2 and said in errors.replace("\n", " ")
