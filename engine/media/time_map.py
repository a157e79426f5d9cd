"""One map of times for everything that is read: wraps undone, jumps joined, gaps of times filled.

Nothing here knows a file: packets come in as values and leave with new times, so that the decoder
and whoever copies sound read the same clock, and a live receiver can use it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from heapq import heappop, heappush

#: A stream that goes back by more than this has begun a new clock.
BACK_S = Fraction(1, 10)
#: Presentation times alone go up and down with B-frames: so much is no new clock.
_REORDER_S = Fraction(1)
#: In a container with a clock of its own for each programme, a leap is a new clock too.
LEAP_S = Fraction(10)
_HELD_PACKETS = 512
_HELD_S = Fraction(3)
_MOST_DECODING = 64
#: So many frames may wait for the first known time.
MOST_FRAMES_WITHOUT_TIME = 64


@dataclass(frozen=True)
class Clock:
    """How a stream counts. leads: the joins are made where this stream goes on, the picture.
    follows: its times prove nothing (subtitles, data): it is moved as the others are."""

    time_base: Fraction
    leads: bool = False
    follows: bool = False


@dataclass(slots=True)
class Stamp:
    """A packet's times in ticks of its stream; None where the container gives none."""

    stream: int
    pts: int | None
    dts: int | None
    duration: int = 0
    payload: object = None


@dataclass(slots=True)
class _Track:
    clock: Clock
    epoch: int = 0
    last: int | None = None  # the latest time, mapped, in ticks
    decoding: bool = False  # whether that was a decoding time
    end: int | None = None  # where the stream should go on, mapped, in ticks
    step: int = 0

    def seconds(self, ticks: int) -> Fraction:
        return ticks * self.clock.time_base

    def ticks(self, seconds: Fraction) -> int:
        return round(seconds / self.clock.time_base)


class TimeMap:
    """Gives packets times on one clock that grows, all streams moved alike.

    `wrap_bits`: the counter's width where it starts again at 0 (33 for MPEG), None elsewhere.
    `leaps`: whether a leap forward of 10 s is a new clock rather than a pause. `origin_s` becomes
    0. `on_jump` is told the time at which two clocks were joined, on the new one, once per jump.

    At a jump packets are held until one of the picture comes (at most 3 s or 512 packets): the new
    recording then begins where the last picture ended, its sound as far from it as it was.
    """

    def __init__(
        self,
        clocks: Mapping[int, Clock],
        *,
        wrap_bits: int | None = None,
        leaps: bool = False,
        origin_s: Fraction = Fraction(0),
        on_jump: Callable[[Fraction], None] = lambda at: None,
    ) -> None:
        self._tracks = {index: _Track(clock) for index, clock in clocks.items()}
        self._has_leader = any(clock.leads for clock in clocks.values())
        self._wrap, self._leaps, self._on_jump = wrap_bits, leaps, on_jump
        self._offsets = [-origin_s]
        self._reference: Fraction | None = None  # the last raw time of any stream, wraps undone
        self._furthest: Fraction | None = None  # the latest mapped end of any stream
        self._held: list[Stamp] = []

    @property
    def jumps(self) -> int:
        """How many clocks were joined so far."""
        return len(self._offsets) - 1

    def push(self, stamp: Stamp) -> list[Stamp]:
        """The packets that are ready, times mapped; often this one, none while a jump is judged."""
        track = self._tracks.get(stamp.stream)
        raw = _raw(stamp)
        if track is None or raw is None:
            return self._hold(stamp) if self._held else [stamp]
        if self._wrap is not None:
            raw = self._unwrap(stamp, track, raw)
        if track.clock.follows:
            return self._hold(stamp) if self._held else self._in_newest(stamp)
        arrives = not self._held and track.epoch < self.jumps and self._joins(track, raw)
        if arrives and self._is_nearer(track, raw):
            return self._in_newest(stamp)
        if self._continues(track, raw, stamp.dts is None or not track.decoding):
            return [self._mapped(stamp, track)]
        return self._in_newest(stamp) if arrives else self._hold(stamp)

    def finish(self) -> list[Stamp]:
        """What was still held."""
        return self._resolve() if self._held else []

    def _unwrap(self, stamp: Stamp, track: _Track, raw: int) -> int:
        assert self._wrap is not None
        period = 1 << self._wrap
        if self._reference is not None:
            turns = round((self._reference / track.clock.time_base - raw) / period)
            raw = self._turned(stamp, turns * period)
        if stamp.pts is not None and stamp.dts is not None:
            stamp.pts += round((stamp.dts - stamp.pts) / period) * period
        self._reference = track.seconds(raw)
        return raw

    @staticmethod
    def _turned(stamp: Stamp, by: int) -> int:
        if by and stamp.pts is not None:
            stamp.pts += by
        if by and stamp.dts is not None:
            stamp.dts += by
        raw = _raw(stamp)
        assert raw is not None
        return raw

    def _continues(self, track: _Track, raw: int, reordered: bool) -> bool:
        at_s = track.seconds(raw) + self._offsets[track.epoch]
        back_s = _REORDER_S if reordered else BACK_S
        if track.last is not None and at_s < track.seconds(track.last) - back_s:
            return False
        return not (self._leaps and self._furthest is not None and at_s > self._furthest + LEAP_S)

    def _joins(self, track: _Track, raw: int) -> bool:
        """Whether a stream that still counts on an older clock has arrived on the newest."""
        at_s = track.seconds(raw) + self._offsets[-1]
        return self._furthest is None or abs(at_s - self._furthest) < LEAP_S

    def _is_nearer(self, track: _Track, raw: int) -> bool:
        """Whether a stream goes on more evenly on the newest clock than on its own."""
        if track.end is None:
            return True
        gap = track.seconds(raw) - track.seconds(track.end)
        return abs(gap + self._offsets[-1]) < abs(gap + self._offsets[track.epoch])

    def _mapped(self, stamp: Stamp, track: _Track) -> Stamp:
        offset = track.ticks(self._offsets[track.epoch]) if self._offsets[track.epoch] else 0
        if stamp.pts is not None:
            stamp.pts += offset
        if stamp.dts is not None:
            stamp.dts += offset
        self._note(stamp, track)
        return stamp

    def _note(self, stamp: Stamp, track: _Track) -> None:
        at = _raw(stamp)
        assert at is not None
        decoding = stamp.dts is not None
        if track.last is not None and at > track.last and decoding == track.decoding:
            track.step = at - track.last
        if track.last is None or at > track.last or (decoding and not track.decoding):
            track.last, track.decoding = at, decoding
        begin = stamp.pts if stamp.pts is not None else at
        end = begin + (stamp.duration or track.step)
        track.end = end if track.end is None else max(track.end, end)
        end_s = track.seconds(end)
        if self._furthest is None or end_s > self._furthest:
            self._furthest = end_s

    def _hold(self, stamp: Stamp) -> list[Stamp]:
        self._held.append(stamp)
        track = self._tracks.get(stamp.stream)
        leads = track is not None and track.clock.leads and stamp.pts is not None
        if leads or not self._has_leader or self._held_enough():
            return self._resolve()
        return []

    def _held_enough(self) -> bool:
        times = [
            self._tracks[stamp.stream].seconds(raw)
            for stamp in self._held
            if stamp.stream in self._tracks and (raw := _raw(stamp)) is not None
        ]
        return len(self._held) >= _HELD_PACKETS or max(times) - min(times) > _HELD_S

    def _resolve(self) -> list[Stamp]:
        anchor = self._anchor()
        track = self._tracks[anchor.stream]
        begin = anchor.pts if anchor.pts is not None else anchor.dts
        assert begin is not None
        joined = track.seconds(track.end) if track.end is not None else self._furthest
        assert joined is not None
        self._offsets.append(joined - track.seconds(begin))
        self._furthest = joined
        self._on_jump(joined)
        held, self._held = self._held, []
        return [ready for stamp in held for ready in self._in_newest(stamp)]

    def _anchor(self) -> Stamp:
        timed = [s for s in self._held if s.stream in self._tracks and _raw(s) is not None]
        judged = [s for s in timed if not self._tracks[s.stream].clock.follows]
        leaders = (s for s in judged if self._tracks[s.stream].clock.leads)
        return next(leaders, judged[0])

    def _in_newest(self, stamp: Stamp) -> list[Stamp]:
        track = self._tracks.get(stamp.stream)
        if track is None or _raw(stamp) is None:
            return [stamp]
        if track.epoch != self.jumps:
            track.epoch, track.last = self.jumps, None
        return [self._mapped(stamp, track)]


def _raw(stamp: Stamp) -> int | None:
    return stamp.dts if stamp.dts is not None else stamp.pts


class FrameTimes:
    """Presentation times of decoded frames, where the container or the decoder gives none.

    `stored`: off for containers without presentation times (AVI): a frame's time is then the
    smallest of the decoding times that were fed, for both orders are the same set of times. Where
    only some are missing, a frame comes one `step` after the last; missing ones at the beginning
    are counted back from the first that is known.
    """

    def __init__(self, step: int, stored: bool = True) -> None:
        self._step, self._stored = max(1, step), stored
        self._decoding: list[int] = []
        self._last: int | None = None
        self.nudged = 0

    def fed(self, pts: int | None, dts: int | None) -> None:
        """A packet went into the decoder."""
        if dts is not None and (not self._stored or pts is None):
            heappush(self._decoding, dts)
            if len(self._decoding) > _MOST_DECODING:
                heappop(self._decoding)  # a frame of two packets, one for each field

    def lost(self, pts: int | None, dts: int | None) -> None:
        """That packet gave an error instead of a frame."""
        if dts is not None and dts in self._decoding and (not self._stored or pts is None):
            self._decoding.remove(dts)
            self._decoding.sort()

    def forget(self) -> None:
        """The decoder was emptied: the frames of the packets before will not come."""
        self._decoding.clear()

    def of(self, pts: int | None) -> int | None:
        """The time of the next frame; None while none is known. Times always increase."""
        if self._decoding and (not self._stored or pts is None):
            pts = heappop(self._decoding)
        elif not self._stored and self._last is not None:
            pts = self._last + self._step
        if pts is None and self._last is not None:
            pts = self._last + self._step
        if pts is None:
            return None
        if self._last is not None and pts <= self._last:
            self.nudged += 1
            pts = self._last + 1
        self._last = pts
        return pts

    def before(self, count: int) -> Iterator[int]:
        """Times of `count` frames that came before the first known one, in order."""
        assert self._last is not None
        for back in range(count, 0, -1):
            yield self._last - back * self._step

    def begin_at(self, pts: int) -> int:
        """Gives up waiting for a known time: the clock starts here."""
        self._last = pts
        return pts
