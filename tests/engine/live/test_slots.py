"""The slot clock in simulated time: a source, a way and a wire, all of them numbers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeprt.engine.live.clock import Clock, observe
from keeprt.engine.live.slots import Kind, Refused, Shown, Slots
from keeprt.engine.live.timeline import TICKS_PER_S, WRAP, Placed, TimeLine, place

PERIOD = Fraction(1, 25)
STEP = 3600
DELAY_S = 0.12


@dataclass
class Wire:
    """What the wire process does with frames and ticks, in simulated time."""

    slots: Slots[int] = field(default_factory=lambda: Slots(PERIOD, DELAY_S, 16))
    line: TimeLine = field(default_factory=TimeLine)
    clock: Clock = field(default_factory=Clock)
    number: int = 0
    shown: list[tuple[float, Shown[int]]] = field(default_factory=list)

    def frame(self, pts: int, arrival_s: float, picture: int) -> int | Refused | None:
        self.ticks_until(arrival_s)
        self.line, placed = place(self.line, pts)
        if placed is None:
            return None
        if placed.line != self.number:
            self.number, self.clock = placed.line, Clock()
        self.clock = observe(self.clock, placed.seconds, arrival_s)
        return self.slots.arrive(placed, self.clock, picture) if self.clock.locked else None

    def ticks_until(self, now_s: float) -> None:
        while (due := self.slots.next_tick_s()) is not None and due <= now_s:
            shown = self.slots.tick()
            assert shown is not None
            self.shown.append((due, shown))


def check(wire: Wire) -> None:
    """What holds whatever came in."""
    times = [at for at, _ in wire.shown]
    assert all(0.4 < (b - a) / float(PERIOD) < 1.6 for a, b in pairwise(times))
    pts = [shown.pts for _, shown in wire.shown]
    assert all(b - a == STEP for a, b in pairwise(pts))
    pictures = [shown.picture for _, shown in wire.shown]
    assert all(a <= b for a, b in pairwise(pictures))
    for (_, before), (_, shown) in pairwise(wire.shown):
        assert (shown.kind is Kind.REPEAT) == (shown.picture == before.picture)


def steady(count: int, start_pts: int = 0, start_s: float = 0.0) -> Iterator[tuple[int, float]]:
    for number in range(count):
        yield start_pts + number * STEP, start_s + number * float(PERIOD) + 0.01


def test_a_steady_source_is_shown_whole_at_the_declared_delay() -> None:
    wire = Wire()
    for number, (pts, at) in enumerate(steady(200, 5000)):
        wire.frame(pts, at, number)
    check(wire)
    assert wire.slots.counts.keys() == {Kind.ORIGINAL}
    for at, shown in wire.shown:
        assert at == pytest.approx(shown.picture * float(PERIOD) + 0.01 + DELAY_S, abs=1e-6)
        assert shown.pts == 5000 + shown.picture * STEP


def test_restored_pictures_are_shown_where_they_come_in_time() -> None:
    wire = Wire()
    for number, (pts, at) in enumerate(steady(100)):
        slot = wire.frame(pts, at, number)
        if isinstance(slot, int) and number % 2:
            assert wire.slots.restored(slot, number)
    kinds = {shown.picture % 2: shown.kind for _, shown in wire.shown}
    assert kinds == {0: Kind.ORIGINAL, 1: Kind.RESTORED}
    assert not wire.slots.restored(0, 0) and wire.slots.counts["restored too late"] == 1


def test_what_is_lost_is_repeated_and_what_comes_twice_or_late_is_refused() -> None:
    wire, frames = Wire(), list(enumerate(steady(80)))
    for number, (pts, at) in frames:
        if number not in (40, 41):
            wire.frame(pts, at, number)
        if number == 50:
            assert wire.frame(pts, at, number) is Refused.DUPLICATE
        if number == 60:
            assert wire.frame(frames[41][1][0], at, 41) is Refused.LATE
    check(wire)
    repeats = [shown.picture for _, shown in wire.shown if shown.kind is Kind.REPEAT]
    assert repeats == [39, 39]


def test_frames_too_far_ahead_do_not_pile_up() -> None:
    wire = Wire()
    for number, (pts, at) in enumerate(steady(40)):
        wire.frame(pts, at, number)
    assert wire.frame(39 * STEP + 4 * TICKS_PER_S, 39 * float(PERIOD) + 0.02, 99) is Refused.AHEAD
    assert wire.slots.waiting <= 16


def restarted(start_pts: int, pause_s: float, count: int = 100) -> Wire:
    wire = Wire()
    for number, (pts, at) in enumerate(steady(count, 10**9)):
        wire.frame(pts, at, number)
    begin_s = count * float(PERIOD) + pause_s
    for number, (pts, at) in enumerate(steady(count * 3, start_pts, begin_s), count):
        wire.frame(pts, at, number)
    return wire


@pytest.mark.parametrize("pause_s", [0.0, 0.013, 3.987])
@pytest.mark.parametrize("start_pts", [0, 10**9, 10**9 + 2 * TICKS_PER_S, 6 * 10**9])
def test_a_source_that_begins_again_is_joined_at_the_declared_delay(
    start_pts: int, pause_s: float
) -> None:
    wire = restarted(start_pts, pause_s)
    check(wire)
    at, shown = wire.shown[-1]
    made = 100 * float(PERIOD) + pause_s + (shown.picture - 100) * float(PERIOD)
    assert at == pytest.approx(made + 0.01 + DELAY_S, abs=2e-3)
    assert shown.kind is Kind.ORIGINAL and wire.slots.counts["joins"] >= 1
    assert shown.pts == start_pts + (shown.picture - 100) * STEP + wire.slots.shift


def test_slots_of_59_94_frames_neither_drift_nor_meet() -> None:
    period = Fraction(1001, 60_000)
    slots: Slots[int] = Slots(period, 0.05, 16)
    clock = Clock(offset_s=0.0)
    for number in range(60 * 600):
        ticks = (number * 3003 + 1) // 2
        assert slots.arrive(Placed(0, ticks), clock, number) == number
        shown = slots.tick()
        assert shown is not None and shown.picture == number and abs(shown.pts - ticks) <= 1


def test_a_source_between_two_slots_never_loses_a_frame_by_rounding() -> None:
    slots: Slots[int] = Slots(PERIOD, 0.05, 16)
    clock = Clock(offset_s=0.0)
    slots.arrive(Placed(0, 0), clock, 0)
    taken = [slots.arrive(Placed(0, STEP // 2 + n * STEP), clock, n) for n in range(9)]
    assert taken == list(range(1, 10))


FAULTS = st.sampled_from(
    ["", "", "", "", "lost", "twice", "late", "swapped", "jump", "flip", "back", "reset", "pause"]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), FAULTS), max_size=14), st.integers(0, WRAP - 1))
def test_one_picture_a_tick_whatever_comes(faults: list[tuple[int, str]], start: int) -> None:
    """Loss, duplicates, reordering, jumps, damage and resets of the times."""
    wire, now_s, pts, picture = Wire(), 0.0, start, 0

    def send(count: int) -> None:
        nonlocal now_s, pts, picture
        for _ in range(count):
            wire.frame(pts % WRAP, now_s + 0.01, picture)
            now_s, pts, picture = now_s + float(PERIOD), pts + STEP, picture + 1

    send(30)
    for count, fault in faults:
        if fault in ("lost", "pause"):
            skipped = 2 if fault == "lost" else 400
            now_s, pts, picture = now_s + skipped / 25, pts + skipped * STEP, picture + skipped
        elif fault == "twice":
            wire.frame((pts - STEP) % WRAP, now_s + 0.01, picture - 1)
        elif fault == "late":
            wire.frame((pts - 9 * STEP) % WRAP, now_s + 0.01, picture - 9)
        elif fault == "swapped":
            # The network turns two round: none can come before it was made.
            both_s = now_s + float(PERIOD) + 0.01
            wire.frame((pts + STEP) % WRAP, both_s, picture + 1)
            wire.frame(pts % WRAP, both_s, picture)
            now_s, pts, picture = now_s + 2 / 25, pts + 2 * STEP, picture + 2
        elif fault == "flip":
            wire.frame((pts + (1 << 31)) % WRAP, now_s + 0.01, picture)
        elif fault in ("jump", "back", "reset"):
            pts += {"jump": 20, "back": -3, "reset": -4000}[fault] * TICKS_PER_S
        send(count)
    send(250)
    wire.ticks_until(now_s)
    check(wire)
    at, shown = wire.shown[-1]
    assert shown.kind is Kind.ORIGINAL
    made = now_s - (picture - shown.picture) * float(PERIOD)
    assert at == pytest.approx(made + 0.01 + DELAY_S, abs=3e-3)
