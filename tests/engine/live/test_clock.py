"""Clock recovery in simulated time: hours in milliseconds."""

import random
from dataclasses import dataclass

import pytest

from keeprt.engine.live.clock import Clock, local_time, observe, source_time

DELAY_S = 0.1
FPS = 25


@dataclass
class Seen:
    least_ms: float = float("inf")
    most_ms: float = float("-inf")
    late: int = 0
    largest_change_us: float = 0.0


def simulate(hours: float, ppm: float, settle_s: float = 120.0) -> tuple[Seen, Clock]:
    """Frames of a source whose clock is off, over a way with jitter and spikes of 60 ms."""
    random_ = random.Random(7)
    clock, seen, before = Clock(), Seen(), None
    for number in range(int(hours * 3600 * FPS)):
        source = number / FPS
        made = source * (1 + ppm * 1e-6)
        jitter = random_.expovariate(1 / 0.003) + (0.06 if random_.random() < 0.002 else 0)
        arrival = made + 0.01 + jitter
        clock = observe(clock, source, arrival)
        if source < settle_s:
            continue
        due = local_time(clock, source) + DELAY_S
        seen.least_ms = min(seen.least_ms, (due - made) * 1e3)
        seen.most_ms = max(seen.most_ms, (due - made) * 1e3)
        seen.late += arrival > due
        if before is not None:
            change = abs(due - before - 1 / FPS) * 1e6
            seen.largest_change_us = max(seen.largest_change_us, change)
        before = due
    return seen, clock


@pytest.mark.parametrize("ppm", [0, 50, -100, 100])
def test_an_hour_moves_the_delay_by_less_than_a_millisecond(ppm: float) -> None:
    seen, clock = simulate(1, ppm)
    assert seen.most_ms - seen.least_ms < 1
    assert seen.late == 0
    assert seen.largest_change_us < 40
    assert clock.steps == 0
    assert clock.ppm == pytest.approx(ppm, abs=40)


@pytest.mark.slow
def test_a_day_moves_the_delay_by_less_than_a_millisecond() -> None:
    seen, _ = simulate(24, 37)
    assert seen.most_ms - seen.least_ms < 1 and seen.late == 0


def test_the_burst_after_opening_is_no_anchor() -> None:
    """Eight frames that had waited come at once: 320 ms late, then less and less."""
    clock = Clock()
    for number in range(8):
        clock = observe(clock, number / FPS, 0.32)
    assert not clock.locked
    for number in range(8, 40):
        clock = observe(clock, number / FPS, number / FPS + 0.01)
    assert clock.locked and local_time(clock, 1.0) == pytest.approx(1.01, abs=1e-3)


def test_lock_comes_with_the_twelfth_calm_frame() -> None:
    clock = Clock()
    for number in range(13):
        assert not clock.locked
        clock = observe(clock, number / FPS, number / FPS + 0.01)
    assert clock.locked


@pytest.mark.parametrize("longer_s", [0.2, -0.2])
def test_a_way_that_is_longer_for_good_is_followed_within_ten_seconds(longer_s: float) -> None:
    clock, way = Clock(), 0.3
    for number in range(60 * FPS):
        source = number / FPS
        clock = observe(clock, source, source + way + (longer_s if source > 30 else 0))
        if source > 40:
            assert local_time(clock, source) == pytest.approx(source + way + longer_s, abs=2e-3)
    assert clock.steps == 1


def test_a_pause_of_the_network_is_no_step() -> None:
    clock = Clock()
    for number in range(60 * FPS):
        source = number / FPS
        held = 31.0 if 30 < source < 31 else source
        clock = observe(clock, source, max(held, source) + 0.01)
    assert clock.steps == 0 and local_time(clock, 60.0) == pytest.approx(60.01, abs=1e-3)


def test_source_time_undoes_local_time() -> None:
    _, clock = simulate(0.1, 80)
    for at in (10.0, 400.0, 90_000.0):
        assert source_time(clock, local_time(clock, at)) == pytest.approx(at, abs=1e-6)


def test_nothing_is_due_before_the_lock() -> None:
    with pytest.raises(ValueError, match="not locked"):
        local_time(Clock(), 0.0)
    with pytest.raises(ValueError, match="not locked"):
        source_time(Clock(), 0.0)
