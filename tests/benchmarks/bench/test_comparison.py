"""Two runs against each other, on times that are made: what is a regression and what is noise."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from keeprt.benchmarks.bench.comparison import compare
from keeprt.benchmarks.bench.hardware.load import Load
from keeprt.benchmarks.bench.hardware.rates import Rates
from keeprt.benchmarks.bench.harness import Cold, Run
from keeprt.benchmarks.bench.ratios import ratio_of_medians
from keeprt.benchmarks.bench.results import BenchResult, CaseResult, contender_result, with_ratios
from keeprt.benchmarks.bench.results_file import load_result, write_csv
from keeprt.benchmarks.bench.rivals.contenders import Case
from keeprt.benchmarks.bench.rivals.worker import Sample
from keeprt.engine.errors import UsageError
from tests.benchmarks.bench.test_command import bench  # noqa: F401

CASE = Case("stream", 1, 3, 4, 1)


def made_run(
    factor: float = 1.0,
    *,
    seed: int = 0,
    waits: float = 0.0,
    pace: float = 1.0,
    memory: int = 10**8,
    case: Case = CASE,
) -> BenchResult:
    """20 rounds of 8 calls of 20 ms with 3 % of noise. `waits` of each call had no core, and the
    whole machine was `pace` times slower."""
    random = np.random.default_rng(seed)
    rounds = []
    for drift in random.normal(1, 0.03, 20):
        calls = 0.02 * factor * drift * pace * random.normal(1, 0.03, 8)
        rounds.append(
            [
                Sample(s + waits, {"decoder": s / 2}, memory, waits, 0.001 * drift * pace)
                for s in calls
            ]
        )
    rates = Rates(100, 10)
    ours = contender_result(Run("keeprt", Cold(1, 0.5, 0.4), rounds, memory), case, {}, rates)
    rival = contender_result(Run("eager", Cold(1, 0.5, 0.4), rounds, memory), case, {}, rates)
    return BenchResult(
        {"CPU": "one of ours", "cores": "2", "numpy": "2.0"},
        {"identity": "ab" * 32, "weights": "synthetic:3"},
        "keeprt bench bundle",
        rates,
        (CaseResult(case, rates, (rates,), with_ratios([ours, rival])),),
        {"keeprt": {25: 2}, "eager": {25: 1}},
        load=Load(2, 0.01, (0.01,)),
    )


@pytest.mark.parametrize("seed", range(10))
def test_equal_runs_are_equal_and_a_tenth_slower_is_worse(seed: int) -> None:
    before = made_run(seed=100 + seed)
    assert not compare(made_run(seed=seed), before).worse
    slower = compare(made_run(1.1, seed=seed), before)
    assert [change.contender for change in slower.worse] == ["keeprt", "eager"]
    assert slower.headline().startswith("REGRESSION in 2 of 2")
    faster = compare(made_run(0.9, seed=seed), before)
    assert not faster.worse and "faster: keeprt (stream, 1 face)" in faster.headline()


def test_other_load_is_no_regression() -> None:
    found = compare(made_run(waits=0.01, pace=1.4, seed=1), made_run(seed=2))
    assert not found.worse
    assert found.changes[0].raw > 1.5, "as measured it took far longer"


def test_on_a_card_times_count_as_they_are() -> None:
    now = replace(made_run(waits=0.01, pace=1.4, seed=1), on_card=True)
    assert len(compare(now, replace(made_run(seed=2), on_card=True)).worse) == 2


def test_more_memory_and_a_failure_are_worse() -> None:
    assert "1.20 times the memory" in compare(made_run(memory=120_000_000), made_run()).headline()
    failed = contender_result(Run("keeprt", failure="killed"), CASE, {}, Rates(1, 1))
    now = made_run()
    now = replace(now, cases=(replace(now.cases[0], contenders=(failed,)),))
    assert compare(now, made_run()).worse[0].words == "failed: killed"


def test_what_else_differs_is_said() -> None:
    now = made_run()
    notes = compare(now, replace(now, date="2030-01-02")).notes
    assert notes[0] == "baseline of 2030-01-02, the same kind of machine"
    assert "this run: quiet" in notes[1]
    other = replace(
        now, machine={"CPU": "another", "cores": "2", "numpy": "1.0"}, bundle={"identity": "c"}
    )
    notes = compare(now, other).notes
    assert "ANOTHER MACHINE: CPU another -> one of ours" in notes[0]
    assert "the bundle is another one" in notes[1] and "numpy 1.0 -> 2.0" in notes[2]


def test_what_cannot_be_compared_is_refused() -> None:
    other = made_run(case=Case("stream", 2, 3, 4, 1))
    with pytest.raises(UsageError, match="no case of this run"):
        compare(made_run(), other)
    with pytest.raises(UsageError, match="was interrupted"):
        compare(made_run(), replace(made_run(), complete=False))


def test_a_ratio_has_an_interval_that_holds_it() -> None:
    random = np.random.default_rng(0)
    a = [list(random.normal(3, 0.1, 10)) for _ in range(12)]
    b = [list(random.normal(2, 0.1, 10)) for _ in range(12)]
    found = ratio_of_medians(a, b, paired=True)
    assert found.low < 1.5 < found.high and found.high - found.low < 0.1
    assert found == ratio_of_medians(a, b, paired=True), "the draws are seeded"
    assert str(ratio_of_medians([[2.0]], [[1.0]], paired=False)) == "2 [2, 2]"
    uneven = ratio_of_medians([[2.0, 2.0], [2.0]], [[1.0]], paired=False)
    assert (uneven.low, uneven.high) == (2, 2)
    with pytest.raises(UsageError, match="no sample"):
        ratio_of_medians([[]], [[1.0]], paired=False)


def test_rounds_that_both_were_slow_in_do_not_widen_a_ratio() -> None:
    drift = np.linspace(1, 3, 20)
    a, b = [[2.0 * d] * 4 for d in drift], [[1.0 * d] * 4 for d in drift]
    paired = ratio_of_medians(a, b, paired=True)
    apart = ratio_of_medians(a, b, paired=False)
    assert paired.high - paired.low < 0.01 < apart.high - apart.low


def test_json_gives_the_run_back(tmp_path: Path) -> None:
    run = made_run()
    run.write_json(tmp_path / "a.json")
    again = load_result(tmp_path / "a.json")
    assert again.date and replace(again, date="") == run


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(format="keeprt-verify"), "is no result of"),
        (lambda c: c["result"].update(format_version=2), "has format version 2"),
        (lambda c: c["result"].pop("cases"), "holds no measured case"),
        (lambda c: c["result"]["cases"][0].pop("rates"), "is damaged"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, change: Any, said: str) -> None:
    made_run().write_json(tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    change(content)
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match=said):
        load_result(tmp_path / "a.json")


def test_csv_has_every_call(tmp_path: Path) -> None:
    run = made_run(waits=0.01)
    write_csv(run, tmp_path / "a.csv")
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert len(rows) == 2 * 20 * 8
    ours = run.cases[0].contenders[0]
    assert float(rows[9]["ms"]) == ours.rounds_ms[1][1] and rows[9]["round"] == "1"
    assert float(rows[9]["waited_ms"]) == pytest.approx(10)
    assert float(rows[9]["decoder ms"]) == ours.stages[0].calls_ms[9]


def test_from_with_a_baseline_gates(bench: Any, tmp_path: Path) -> None:  # noqa: F811
    names = [tmp_path / name for name in ("now.json", "before.json", "slow.json")]
    for name, factor in zip(names, (1.0, 1.0, 1.1), strict=True):
        made_run(factor).write_json(name)
    now, before, slow = names
    junit, page = tmp_path / "j.xml", tmp_path / "p.html"
    files = ("--junit", junit, "--report", page)
    code, printed, errors = bench("--from", now, "--baseline", before, *files)
    assert code == 0, errors
    assert "no regression in 2 comparisons" in printed
    assert ET.parse(junit).getroot().get("failures") == "0"
    assert "no regression" in page.read_text()
    code, printed, _ = bench("--from", slow, "--baseline", before, *files, "--overwrite")
    assert code == 1 and "REGRESSION" in printed
    failure = ET.parse(junit).getroot().find(".//failure")
    assert failure is not None and "times as long" in failure.get("message", "")


def test_junit_without_a_baseline_is_refused(bench: Any, tmp_path: Path) -> None:  # noqa: F811
    made_run().write_json(tmp_path / "a.json")
    code, _, errors = bench("--from", tmp_path / "a.json", "--junit", tmp_path / "j.xml")
    assert code == 2 and "--junit holds the verdict on a --baseline" in errors
    code, _, errors = bench("--from", tmp_path / "a.json")
    assert code == 0, errors
