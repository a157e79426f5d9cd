"""Slopes of time and memory over many frames, on rows whose figures are made."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from keeprt.benchmarks.verify.judging.judge import _soak
from keeprt.benchmarks.verify.measuring.soak import slopes, there_and_back
from keeprt.benchmarks.verify.result import Result
from tests.networks import faces


def rows(growth_mb: float, count: int = 400) -> list[Any]:
    """Frames whose memory grows by so much in a thousand, after a start that takes 50 MB more."""
    noise = np.random.default_rng(0).normal(0, 0.3, count)
    return [
        SimpleNamespace(
            frame=n,
            runtime_ms=20 + noise[n],
            resident_mb=500 + min(n, 20) * 2.5 + growth_mb * n / 1000 + noise[n],
        )
        for n in range(count)
    ]


def test_memory_that_grows_fails_and_the_start_does_not_count() -> None:
    level, growing = rows(0.0), rows(8.0)
    time, memory = slopes(growing)
    assert memory.value == pytest.approx(8.0, abs=0.5) and memory.low > 2
    assert time.median == pytest.approx(20, abs=0.1) and time.low < 0 < time.high
    assert "+8" in memory.statement().replace("+7.9", "+8")
    for found, passed in ((level, True), (growing, False)):
        (criterion,) = _soak(replace(Result({}), frames=found, soak=True))
        assert criterion.passed is passed, criterion
    (few,) = _soak(replace(Result({}), frames=rows(8.0, 5), soak=True))
    assert few.passed is None and "too few" in few.detail


def test_a_clip_goes_there_and_back() -> None:
    clip = faces(3)
    shown = [next(i for i, known in enumerate(clip) if (known == one).all())
             for one in there_and_back(iter(clip), 7)]  # fmt: skip
    assert shown == [0, 1, 2, 1, 0, 1, 2]
    assert list(there_and_back(iter([]), 5)) == []
