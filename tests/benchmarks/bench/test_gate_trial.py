"""The trial of the gate itself, but for its runs: how much it slows the third one."""

from __future__ import annotations

import pytest

from keeprt.benchmarks.bench.hardware.rates import Rates
from keeprt.benchmarks.bench.harness import Run
from keeprt.benchmarks.bench.results import BenchResult, CaseResult, contender_result
from keeprt.benchmarks.bench.rivals.contenders import Case
from keeprt.benchmarks.bench.rivals.worker import Sample
from keeprt.benchmarks.gate_trial import net_median_s


def test_a_tenth_is_of_what_a_call_takes_without_its_waiting() -> None:
    case, rates = Case("stream", 1, 3, 4), Rates(1, 1)
    rounds = [[Sample(s + waited, {}, 1, waited) for s in (0.1, 0.2, 0.3)] for waited in (0, 5)]
    found = contender_result(Run("keeprt", rounds=rounds), case, {}, rates)
    result = BenchResult({}, {}, "", rates, (CaseResult(case, rates, (), (found,)),))
    assert net_median_s(result) == pytest.approx(0.2)
