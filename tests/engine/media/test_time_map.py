"""The map of times: wraps, jumps, gaps and missing times, for picture and sound alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeprt.engine.media.time_map import Clock, FrameTimes, Stamp, TimeMap

VIDEO, SOUND, TEXT = 0, 1, 2
FRAME, SAMPLE = 3600, 1920  # 25 fps and 1024 samples at 48 kHz, in ticks of 90 kHz
BASE = Fraction(1, 90000)
PERIOD = 1 << 33
CLOCKS = {VIDEO: Clock(BASE, leads=True), SOUND: Clock(BASE), TEXT: Clock(BASE, follows=True)}


@dataclass(frozen=True)
class Recording:
    """begin: the first picture's time. early: how much the sound begins before it (or behind)."""

    begin: int
    frames: int
    early: int
    order: tuple[int, ...]  # display positions within a group, in decoding order


def packets(recording: Recording) -> list[Stamp]:
    """Picture and sound interleaved by decoding time, with B-frames."""
    group, delay = recording.order, max(recording.order)
    video = []
    for number in range(recording.frames - recording.frames % len(group)):
        shown = number // len(group) * len(group) + group[number % len(group)]
        dts = recording.begin + (number - delay) * FRAME
        pts = recording.begin + shown * FRAME
        video.append(Stamp(VIDEO, pts, dts, FRAME, shown))
    first = recording.begin - recording.early
    count = len(video) * FRAME // SAMPLE
    sound = [Stamp(SOUND, first + n * SAMPLE, first + n * SAMPLE, SAMPLE, n) for n in range(count)]
    return sorted(video + sound, key=lambda stamp: stamp.dts or 0)


def wrapped(stamp: Stamp) -> Stamp:
    """As a counter of 33 bits gives it."""
    assert stamp.pts is not None and stamp.dts is not None
    return Stamp(
        stamp.stream, stamp.pts % PERIOD, stamp.dts % PERIOD, stamp.duration, stamp.payload
    )


def mapped(time_map: TimeMap, stamps: list[Stamp]) -> list[Stamp]:
    return [ready for stamp in stamps for ready in time_map.push(stamp)] + time_map.finish()


SECOND = 90000
# Back by a second to an hour, on by more than ten seconds: less cannot be told from a pause.
distances = st.one_of(st.integers(-3600 * SECOND, -SECOND), st.integers(11 * SECOND, 3600 * SECOND))
shapes = st.tuples(
    distances,
    st.integers(8, 40),
    st.integers(-20000, 20000),
    st.sampled_from([(0,), (0, 2, 1), (0, 3, 1, 2)]),
)


def joined(begin: int, parts: list[tuple[int, int, int, tuple[int, ...]]]) -> list[Recording]:
    """Recordings whose clocks lie so far apart."""
    recordings: list[Recording] = []
    for distance, frames, early, order in parts:
        recordings.append(Recording(begin, frames, early, order))
        begin += frames * FRAME + distance
    return recordings


@settings(max_examples=80, deadline=None)
@given(
    st.one_of(st.integers(0, PERIOD - 1), st.integers(PERIOD - 30 * FRAME, PERIOD - 1)),
    st.lists(shapes, min_size=1, max_size=4),
)
def test_times_grow_and_sound_keeps_its_distance(
    begin: int, parts: list[tuple[int, int, int, tuple[int, ...]]]
) -> None:
    recordings = joined(begin, parts)
    time_map = TimeMap(CLOCKS, wrap_bits=33, leaps=True)
    stamps = []
    for number, recording in enumerate(recordings):
        for stamp in packets(recording):
            stamps.append(wrapped(stamp))
            stamps[-1].payload = (number, stamp.payload)
    at = {(s.stream, *s.payload): s.pts for s in mapped(time_map, stamps)}  # type: ignore[misc]
    assert len(at) == len(stamps)
    end = None
    for number, recording in enumerate(recordings):
        first = at[VIDEO, number, 0]
        assert end is None or first == end, "a recording begins where the last picture ended"
        shown = [key[2] for key in at if key[:2] == (VIDEO, number)]
        assert all(at[VIDEO, number, n] == first + n * FRAME for n in shown)
        if (SOUND, number, 0) in at:
            assert first - at[SOUND, number, 0] == recording.early
        end = first + (max(shown) + 1) * FRAME
    assert time_map.jumps == len(recordings) - 1


HEARD = 7  # frames by which sound begins late, or ends early, at most: see `shapes`
few = st.frozensets(st.integers(0, 80), max_size=20)
faults = st.tuples(st.integers(0, 8), st.integers(0, 120), few, few)


def pauses(stamps: list[Stamp], part: Recording, group: int, frames: int) -> list[Stamp]:
    """All that is shown or heard from one group of pictures on comes so many frames later."""
    size, by = len(part.order), frames * FRAME
    resumes = part.begin + group * size * FRAME

    def later(stamp: Stamp) -> bool:
        if stamp.stream == SOUND:
            return cast(int, stamp.pts) >= resumes
        return cast(int, stamp.payload) // size >= group

    def moved(stamp: Stamp) -> Stamp:
        pts, dts = cast(int, stamp.pts) + by, cast(int, stamp.dts) + by
        return Stamp(stamp.stream, pts, dts, stamp.duration, stamp.payload)

    return [moved(stamp) if later(stamp) else stamp for stamp in stamps]


def untold(stamp: Stamp, pts: bool, both: bool) -> Stamp:
    """As a container gives it that lacks a packet's presentation time, or both of its times."""
    given = wrapped(stamp)
    given.pts, given.dts = None if pts or both else given.pts, None if both else given.dts
    return given


@settings(max_examples=80, deadline=None)
@given(
    st.integers(PERIOD - 200 * FRAME, PERIOD - 1),
    st.lists(st.tuples(shapes, faults), min_size=1, max_size=4),
)
def test_pauses_and_missing_times_change_neither_order_nor_distance(
    begin: int, parts: list[tuple[Any, tuple[int, int, frozenset[int], frozenset[int]]]]
) -> None:
    time_map, frames = TimeMap(CLOCKS, wrap_bits=33, leaps=True), FrameTimes(FRAME)
    shown: list[int] = []
    for (distance, count, early, order), (group, pause, pts, both) in parts:
        part = Recording(begin, count, early, order)
        # Between a pause and a jump is sound: else nobody could say on which clock the next one is.
        group += -(-HEARD // len(order))
        pause = pause if group * len(order) + HEARD < count else 0
        made = pauses(packets(part), part, group, pause)
        begin += (count + pause) * FRAME + distance
        video = [number for number, stamp in enumerate(made) if stamp.stream == VIDEO]
        given = [
            untold(s, n in pts and n in video, n in both and n in video) for n, s in enumerate(made)
        ]
        for stamp, source in zip(given, made, strict=True):
            stamp.payload = source
        out = mapped(time_map, given)
        assert len(out) == len(made)
        moved = {s.pts - cast(Stamp, s.payload).pts for s in out if s.pts is not None}
        assert len(moved) <= 1, "picture and sound are moved alike"
        shown += decoded([s for s in out if s.stream == VIDEO], frames, len(order))
    assert all(b > a for a, b in pairwise(shown))


def decoded(stamps: list[Stamp], frames: FrameTimes, group: int) -> Iterator[int]:
    """Times of frames, group after group in the order in which they are shown."""
    for first in range(0, len(stamps), group):
        some = stamps[first : first + group]
        for stamp in some:
            frames.fed(stamp.pts, stamp.dts)
        for stamp in sorted(some, key=lambda s: cast(int, cast(Stamp, s.payload).payload)):
            time = frames.of(stamp.pts)
            if time is not None:
                yield time


def test_a_wrap_is_no_jump() -> None:
    part = Recording(PERIOD - 10 * FRAME, 30, 1000, (0, 2, 1))
    time_map = TimeMap(CLOCKS, wrap_bits=33, leaps=True, origin_s=part.begin * BASE)
    out = mapped(time_map, [wrapped(stamp) for stamp in packets(part)])
    times = sorted(s.pts for s in out if s.stream == VIDEO and s.pts is not None)
    assert times == [n * FRAME for n in range(30)] and time_map.jumps == 0


def test_late_sound_of_the_old_clock_stays_on_it() -> None:
    """In a broadcast the sound's last packets come behind the picture of the new clock."""
    old, new = Recording(0, 30, 0, (0,)), Recording(5_000_000, 30, 0, (0,))
    first, second = packets(old), packets(new)
    late = [s for s in first if s.stream == SOUND][-5:]
    ahead = [s for s in second if s.stream == VIDEO][:4]
    behind = [s for s in second if s not in ahead]
    stamps = [s for s in first if s not in late] + ahead + late + behind
    out = mapped(TimeMap(CLOCKS, wrap_bits=33, leaps=True), stamps)
    sound = [s.pts for s in out if s.stream == SOUND]
    count = len([s for s in first if s.stream == SOUND])
    assert sound[:count] == [n * SAMPLE for n in range(count)]
    assert sound[count] == 30 * FRAME, "the new sound begins with its picture"


@pytest.mark.parametrize(("leaps", "kept"), [(True, 1.0), (False, 60.0)])
def test_a_gap_is_a_pause_where_the_clock_is_the_files_own(leaps: bool, kept: float) -> None:
    stamps = [Stamp(VIDEO, n * FRAME, n * FRAME, FRAME) for n in range(25)]
    stamps += [Stamp(VIDEO, (1500 + n) * FRAME, (1500 + n) * FRAME, FRAME) for n in range(25)]
    out = mapped(TimeMap(CLOCKS, leaps=leaps), stamps)
    assert out[25].pts is not None and float(out[25].pts * BASE) == kept


def test_subtitles_move_with_the_picture_and_never_make_a_jump() -> None:
    time_map = TimeMap(CLOCKS, wrap_bits=33, leaps=True)
    stamps = packets(Recording(900_000, 25, 0, (0,)))
    stamps.insert(10, Stamp(TEXT, 77, 77, 0))
    stamps += packets(Recording(100_000, 25, 0, (0,)))
    stamps.append(Stamp(TEXT, 103_600, 103_600, 0))
    out = mapped(time_map, stamps)
    assert time_map.jumps == 1
    assert [s.pts for s in out if s.stream == TEXT][1] == 900_000 + 25 * FRAME + FRAME


times = st.lists(st.one_of(st.none(), st.integers(0, 400)), min_size=1, max_size=40)


@settings(max_examples=100, deadline=None)
@given(times, st.integers(1, 5))
def test_frame_times_always_increase(pts: list[int | None], step: int) -> None:
    frames = FrameTimes(step)
    found = [frames.of(time) for time in pts]
    known = [time for time in found if time is not None]
    assert all(b > a for a, b in pairwise(known))
    missing = [number for number, time in enumerate(found) if time is None]
    assert missing == list(range(len(missing))), "only frames before the first known lack a time"


@given(st.permutations(list(range(8))))
def test_decoding_times_stand_in_for_presentation_times(order: list[int]) -> None:
    frames = FrameTimes(1, stored=False)
    found = []
    for number in range(8):
        frames.fed(order[number], number)
        if number >= 3:
            found.append(frames.of(99))
    found += [frames.of(None) for _ in range(3)]
    assert found == list(range(8))


def test_missing_times_at_the_beginning_are_counted_back() -> None:
    frames = FrameTimes(40)
    assert [frames.of(None), frames.of(None), frames.of(100)] == [None, None, 100]
    assert list(frames.before(2)) == [20, 60]
