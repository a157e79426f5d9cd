"""Ladder, states and budget: pure functions of what is known."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeprt.engine.errors import UsageError
from keeprt.engine.live.budget import (
    Asked,
    Parts,
    Samples,
    declare,
    measured,
    parse_delay,
    quantile,
)
from keeprt.engine.live.loss import Cover, parse_ladder
from keeprt.engine.live.states import Bypass, Facts, State, is_healthy, is_ready, next_state

PERIOD_S = 0.04


def covers(ladder: str, ticks: int) -> list[str]:
    """What is shown at each tick after the last picture."""
    parsed = parse_ladder(ladder)
    return [parsed.shown(n * PERIOD_S).cover for n in range(1, ticks + 1)]


def test_each_rung_lasts_its_time_to_the_frame() -> None:
    seen = covers("repeat=500ms,black=2s,slate=card.png", 80)
    runs = [(cover, len(list(same))) for cover, same in itertools.groupby(seen)]
    # The picture itself is the first of the 12.5 periods: ticks 1 to 12 repeat it.
    assert runs == [("repeat", 12), ("black", 50), ("slate", 18)]
    assert parse_ladder("repeat=500ms,slate=card.png").shown(9).path == "card.png"


@pytest.mark.parametrize("text", ["repeat", "black", "slate=a.png", "repeat=1s"])
def test_the_last_rung_stays(text: str) -> None:
    assert set(covers(text, 2000)) == {text.partition("=")[0]}


def test_a_ladder_of_whole_periods_changes_on_its_tick() -> None:
    assert covers("repeat=80ms,black", 4) == ["repeat", "black", "black", "black"]


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "covers no loss"),
        ("freeze=1s", "covers no loss"),
        ("black=1s,repeat=1s", "in this order"),
        ("repeat=1s,repeat=1s", "in this order"),
        ("repeat=1,black", "is no time"),
        ("repeat,black", "is no time"),
        ("slate", "a picture's path"),
        ("slate=,", "a picture's path"),
    ],
)
def test_ladders_that_make_no_sense_are_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_ladder(text)


STORY = [
    (Facts(started=False), State.STARTING),
    (Facts(), State.CONNECTING),
    (Facts(receiving=True), State.LOCKING),
    (
        Facts(receiving=True, fresh=True, bypass=Bypass.WARMING),
        State.BYPASSING,
    ),
    (Facts(receiving=True, fresh=True), State.LIVE),
    (Facts(receiving=True, cover=Cover.REPEAT), State.HOLDING),
    (Facts(receiving=True, fresh=True), State.LIVE),
    (Facts(cover=Cover.REPEAT), State.HOLDING),
    (Facts(cover=Cover.BLACK), State.SLATE),
    (Facts(cover=Cover.SLATE), State.SLATE),
    (Facts(receiving=True, cover=Cover.SLATE), State.LOCKING),
    (Facts(cover=Cover.SLATE), State.CONNECTING),
    (Facts(receiving=True, cover=Cover.SLATE), State.LOCKING),
    (Facts(receiving=True, fresh=True, bypass=Bypass.OPERATOR), State.BYPASSING),
    (Facts(stopping=True, fresh=True), State.STOPPING),
    (Facts(fresh=True), State.STOPPING),
]


def test_a_channel_goes_through_its_states() -> None:
    state = State.STARTING
    for number, (facts, expected) in enumerate(STORY):
        state = next_state(state, facts)
        assert state is expected, number


FACTS = st.builds(
    Facts,
    receiving=st.booleans(),
    fresh=st.booleans(),
    cover=st.none() | st.sampled_from(Cover),
    bypass=st.none() | st.sampled_from(Bypass),
)


@given(st.sampled_from(State), FACTS)
def test_on_air_means_a_fresh_picture_and_nothing_else(state: State, facts: Facts) -> None:
    after = next_state(state, facts)
    fresh = facts.fresh and state is not State.STOPPING
    assert (after in (State.LIVE, State.BYPASSING)) == fresh
    assert (after is State.STOPPING) == (state is State.STOPPING)
    settled = next_state(after, facts)
    assert next_state(settled, facts) is settled


def test_ready_and_healthy() -> None:
    assert is_ready(State.BYPASSING, 0.05, PERIOD_S) and not is_ready(State.LIVE, 0.09, PERIOD_S)
    assert not is_ready(State.HOLDING, 0.01, PERIOD_S)
    assert is_healthy(0.079, PERIOD_S) and not is_healthy(None, PERIOD_S)


def test_delays_are_read() -> None:
    assert parse_delay("160ms") == Asked(delay_s=0.16) and parse_delay("4f") == Asked(frames=4)
    assert parse_delay("auto").auto and parse_delay("0.2s").delay_s == 0.2
    for text in ("", "4", "0f", "0ms", "11s", "-4f", "fast"):
        with pytest.raises(UsageError, match=r"delay"):
            parse_delay(text)


def test_auto_is_what_was_measured_in_whole_frames() -> None:
    samples = Samples([0.001] * 98 + [0.02, 0.5], [0.004], [0.03], [0.005], reorder_frames=2)
    parts = measured(samples, PERIOD_S)
    assert parts == Parts(0.08, 0.02, 0.004, 0.03, 0.005)
    budget = declare(Asked(), parts, PERIOD_S)
    assert budget.delay_s == pytest.approx(0.16) and budget.restores and not budget.repeats
    assert declare(Asked(frames=5), parts, PERIOD_S).delay_s == pytest.approx(0.2)
    assert str(budget) == "160 ms (reorder 80, jitter 20, decode 4, processing 30, encoder 5)"
    assert budget.deadline_s(10.0) == pytest.approx(9.991)


def test_a_delay_that_is_too_short_says_for_what() -> None:
    parts = Parts(jitter_s=0.02, decode_s=0.004, processing_s=0.05, encoder_s=0.005)
    short, fair = (declare(Asked(delay_s=d), parts, PERIOD_S) for d in (0.02, 0.04))
    assert short.repeats and not short.restores
    assert not fair.repeats and not fair.restores
    assert declare(Asked(delay_s=0.09), parts, PERIOD_S).restores


def test_quantiles_are_values_that_were_seen() -> None:
    assert quantile([]) == 0 and quantile([3.0]) == 3.0
    assert quantile(range(1, 101)) == 99 and quantile(range(1, 201)) == 198
