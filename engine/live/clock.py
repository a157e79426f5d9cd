"""Clock recovery: when, by our clock, a source's time is due, through jitter, spikes and drift.

Interface: `clock = observe(clock, source_s, arrival_s)` for each frame or PCR that arrives, from
`Clock()` on; once `clock.locked`, `local_time(clock, source_s)` is when that source time arrives
at the least delay of the way, and `source_time(clock, local_s)` the other way round. A new time
line of the source begins with a new `Clock()`.

Each arrival bounds the way's delay from above. The least offset (arrival less source time) of each
window of 2 s stands for the window; a line through the last 30 of them is where the offset goes,
and the offset in use slews towards it by at most 300 ppm, so that the output's period changes by
microseconds. The first anchor is taken when the least offset is calm: just after opening, what had
piled up arrives in a burst, and its delay would stay for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

WINDOW_S = 2.0
KEPT_WINDOWS = 30
LEAST_WINDOWS = 5  # for a slope
MOST_SLEW = 300e-6
SETTLING_S = 10.0  # an error is made good in about this time
CALM_FRAMES = 12
CALM_S = 0.002  # a lower offset by less is calm
#: So far off, the way itself or the source's times have changed: the clock is anchored anew. What
#: is late may be a congestion, and is judged over windows; nothing can be early by chance.
STEP_S, STEP_WINDOWS, EARLY_FRAMES = 0.05, 3, 12


@dataclass(frozen=True, slots=True)
class Clock:
    """The state of recovery. Offsets are local less source time, in seconds.

    Where `steps` has grown the times due have jumped; `slots` joins there as at a new time line.
    """

    offset_s: float | None = None  # in use at `at_s`
    rate: float = 0.0  # of the offset, per second of the source
    at_s: float = 0.0  # source time
    least_s: float = float("inf")  # of this window, or since opening where not locked
    window_s: float = 0.0  # where this window began
    windows: tuple[tuple[float, float], ...] = ()  # middle and least offset of the last ones
    calm: int = 0
    early: int = 0  # frames in a row that came before the least delay allows
    steps: int = 0  # how often the clock was anchored anew

    @property
    def locked(self) -> bool:
        """Whether arrivals tell the times of the source yet."""
        return self.offset_s is not None

    @property
    def ppm(self) -> float:
        """How much slower than ours the source's clock runs."""
        return self.rate * 1e6


def observe(clock: Clock, source_s: float, arrival_s: float) -> Clock:
    """The clock after something of source time `source_s` arrived at `arrival_s`."""
    offset = arrival_s - source_s
    if clock.offset_s is None:
        return _locking(clock, source_s, offset)
    if offset < _offset(clock, source_s) - STEP_S:
        return _early(clock, source_s, offset)
    if clock.early:
        clock = replace(clock, early=0)
    if source_s - clock.window_s < WINDOW_S:
        return clock if offset >= clock.least_s else replace(clock, least_s=offset)
    return _next_window(replace(clock, least_s=min(clock.least_s, offset)), source_s)


def local_time(clock: Clock, source_s: float) -> float:
    """When `source_s` arrives at the least delay. Raises ValueError before the clock is locked."""
    return source_s + _offset(clock, source_s)


def source_time(clock: Clock, local_s: float) -> float:
    """What the source's clock shows at `local_s`. Raises ValueError before the clock is locked."""
    if clock.offset_s is None:
        raise ValueError("the clock is not locked")
    return (local_s - clock.offset_s + clock.rate * clock.at_s) / (1 + clock.rate)


def _offset(clock: Clock, source_s: float) -> float:
    if clock.offset_s is None:
        raise ValueError("the clock is not locked")
    return clock.offset_s + clock.rate * (source_s - clock.at_s)


def _locking(clock: Clock, source_s: float, offset: float) -> Clock:
    calm = 0 if offset < clock.least_s - CALM_S else clock.calm + 1
    least = min(clock.least_s, offset)
    if calm < CALM_FRAMES:
        return replace(clock, least_s=least, calm=calm)
    return _anchored(clock, source_s, least)


def _early(clock: Clock, source_s: float, offset: float) -> Clock:
    """Judged by themselves: one is a damaged time, twelve in a row are how it is now."""
    if clock.early + 1 < EARLY_FRAMES:
        return replace(clock, early=clock.early + 1)
    return replace(_anchored(clock, source_s, offset), steps=clock.steps + 1)


def _anchored(clock: Clock, source_s: float, offset: float) -> Clock:
    return Clock(offset, 0.0, source_s, offset, source_s, steps=clock.steps)


def _next_window(clock: Clock, source_s: float) -> Clock:
    middle = clock.window_s + WINDOW_S / 2
    windows = (*clock.windows, (middle, clock.least_s))[-KEPT_WINDOWS:]
    if _stepped(clock, windows):
        return replace(_anchored(clock, source_s, windows[-1][1]), steps=clock.steps + 1)
    slope, target = _line(windows, source_s)
    now = _offset(clock, source_s)
    rate = max(-MOST_SLEW, min(MOST_SLEW, slope + (target - now) / SETTLING_S))
    return Clock(now, rate, source_s, float("inf"), source_s, windows, steps=clock.steps)


def _stepped(clock: Clock, windows: tuple[tuple[float, float], ...]) -> bool:
    errors = [least - _offset(clock, at) for at, least in windows[-STEP_WINDOWS:]]
    late = all(error > STEP_S for error in errors)
    return len(errors) == STEP_WINDOWS and late


def _line(windows: tuple[tuple[float, float], ...], at_s: float) -> tuple[float, float]:
    """Slope and value of the line by least squares; a flat one through the least at first."""
    count = len(windows)
    if count < LEAST_WINDOWS:
        return 0.0, min(least for _, least in windows)
    middle = sum(at for at, _ in windows) / count
    mean = sum(least for _, least in windows) / count
    spread = sum((at - middle) ** 2 for at, _ in windows)
    slope = sum((at - middle) * (least - mean) for at, least in windows) / spread
    return slope, mean + slope * (at_s - middle)
