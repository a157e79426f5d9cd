"""Times of 33 bits, unwrapped and judged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeprt.engine.live.timeline import TICKS_PER_S, WRAP, Placed, TimeLine, place


def placed(times: list[int]) -> list[Placed | None]:
    line, out = TimeLine(), []
    for pts in times:
        line, at = place(line, pts)
        out.append(at)
    return out


@pytest.mark.slow
def test_sixty_hours_never_jump() -> None:
    step, count = 3600, 60 * 3600 * 25
    line, before = TimeLine(), None
    for number in range(count):
        line, at = place(line, (WRAP - 90_000 + number * step) % WRAP)
        assert at is not None and at.line == 0
        assert before is None or at.ticks == before + step
        before = at.ticks


def test_one_or_two_damaged_times_are_left_out() -> None:
    seen = placed([0, 3600, 1 << 30, 7200, 1 << 31, 1 << 29, 10800])
    assert [at and at.ticks for at in seen] == [0, 3600, None, 7200, None, None, 10800]


def test_three_jumps_that_agree_are_a_new_line() -> None:
    again = [10**9 + n * 3600 for n in range(4)]
    seen = placed([0, 3600, *again])
    assert [at and at.line for at in seen] == [0, 0, None, None, 1, 1]
    assert seen[-1] == Placed(1, again[-1])


def test_jumps_that_do_not_agree_are_damage() -> None:
    assert placed([0, 3600, 1 << 30, 1 << 31, 1 << 29, 1 << 32])[2:] == [None] * 4


def test_a_source_that_begins_again_is_seen_after_a_second() -> None:
    assert placed([900_000, 0, 3600, 7200])[-1] == Placed(1, 7200)


@given(st.integers(0, WRAP - 1), st.lists(st.integers(-TICKS_PER_S, 5 * TICKS_PER_S), max_size=99))
def test_small_steps_are_followed_exactly(start: int, steps: list[int]) -> None:
    times = [start]
    for step in steps:
        times.append(times[-1] + step)
    seen = placed([pts % WRAP for pts in times])
    assert [at and at.ticks for at in seen] == times
