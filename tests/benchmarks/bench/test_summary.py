"""Percentiles, jitter and the streams rule against values worked out by hand."""

from __future__ import annotations

import pytest

from keeprt.benchmarks.bench.summary import BatchSpeed, distribution, sustained_streams
from keeprt.engine.errors import UsageError


def test_percentiles_are_those_of_trtexec() -> None:
    """max(N - 1 - floor((1 - P) N), 0) of N ascending samples; the median of both middle ones."""
    found = distribution([[index / 1e3 for index in range(1, 201)]])
    assert (found.count, found.mean) == (200, pytest.approx(100.5))
    assert (found.p50, found.p90, found.p99) == pytest.approx((100.5, 180, 198))
    assert (found.p999, found.max) == pytest.approx((200, 200))
    thousand = distribution([[index / 1e3 for index in range(1000, 0, -1)]])
    assert (thousand.p99, thousand.p999, thousand.max) == pytest.approx((990, 999, 1000))


def test_times_that_vary_are_called_unstable() -> None:
    steady = distribution([[0.100, 0.102, 0.098]])
    assert steady.cv == pytest.approx(100 * (2 * 0.002**2 / 3) ** 0.5 / 0.1) and not steady.unstable
    wild = distribution([[0.1, 0.2]])
    assert wild.cv == pytest.approx(100 / 3)
    assert "coefficient of variation of 33.3 % (above 2.5 %)" in wild.unstable


def test_p99_of_few_samples_is_the_largest_and_the_order_does_not_matter() -> None:
    found = distribution([[0.010, 0.050], [0.020]])
    assert (found.p50, found.p90, found.p99, found.max) == pytest.approx((20, 50, 50, 50))


def test_jitter_is_the_mean_step_within_rounds_and_never_across_them() -> None:
    # Steps of 10, 30 and 20 ms; the 940 ms from one round to the next are no jitter.
    found = distribution([[0.010, 0.020, 0.050], [0.990, 0.970]])
    assert found.jitter == pytest.approx((10 + 30 + 20) / 3)
    assert distribution([[0.5], [0.7]]).jitter is None, "one call a round has no neighbour"


def test_no_samples_are_refused() -> None:
    with pytest.raises(UsageError, match="no sample was measured"):
        distribution([[], []])


def test_streams_follow_the_slowest_hundredth_and_the_throughput() -> None:
    # One face in 9 ms at worst: 4 fit into the 40 ms of 25 fps, 1 into the 16.7 ms of 60 fps.
    alone = BatchSpeed(1, p99_s=0.009, faces_per_s=125)
    assert sustained_streams([alone]) == {25: 4, 30: 3, 50: 2, 60: 1}
    # Two together in 12 ms at worst: three batches within 40 ms are 6 streams.
    pair = BatchSpeed(2, p99_s=0.012, faces_per_s=200)
    assert sustained_streams([alone, pair]) == {25: 6, 30: 4, 50: 2, 60: 2}


def test_streams_never_exceed_the_throughput() -> None:
    assert sustained_streams([BatchSpeed(1, p99_s=0.001, faces_per_s=70)]) == {
        25: 2,
        30: 2,
        50: 1,
        60: 1,
    }


def test_a_machine_that_is_too_slow_sustains_none() -> None:
    assert set(sustained_streams([BatchSpeed(4, 2.0, 2.0)]).values()) == {0}
    assert set(sustained_streams([]).values()) == {0}
