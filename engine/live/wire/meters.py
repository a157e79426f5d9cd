"""What is counted on the wire, and the `Status` that is made of it.

Interface: the channel counts into `meters.frames`, `meters.bypass`, `meters.delay_ms.see(...)` and
so on; `meters.event(...)` keeps an event; events are read by `meters.events`.
"""

from __future__ import annotations

import os
import resource
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from keeprt.engine.live.budget import quantile
from keeprt.engine.live.status import (
    DELAY_BUCKETS,
    JITTER_BUCKETS,
    KEPT_EVENTS,
    STAGE_BUCKETS,
    Event,
    Histogram,
    Quantiles,
)

SAME_ERROR_S = 10.0
KEPT_SAMPLES = 1500  # a minute at 25 frames a second


@dataclass
class Samples:
    """The last values, and a histogram of all; milliseconds."""

    histogram: Histogram
    last: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_SAMPLES))

    def see(self, value_ms: float) -> None:
        """Counts a value."""
        self.histogram.see(value_ms)
        self.last.append(value_ms)

    @property
    def quantiles(self) -> Quantiles:
        """Of the last ones."""
        return quantiles(list(self.last))


def quantiles(values: Sequence[float]) -> Quantiles:
    """Of some milliseconds."""
    if not values:
        return Quantiles()
    ordered = sorted(values)
    shares = [round(quantile(ordered, share), 3) for share in (0.5, 0.95, 0.99, 1.0)]
    return Quantiles(len(values), *shares)


class Meters:
    """All of one channel; counters only grow."""

    def __init__(self) -> None:
        self.started_s = time.time()
        self.frames: Counter[str] = Counter()
        self.bypass: Counter[str] = Counter()
        self.delay_ms = Samples(Histogram(DELAY_BUCKETS))
        self.jitter_ms = Samples(Histogram(JITTER_BUCKETS))
        self.late_ms = Samples(Histogram(JITTER_BUCKETS))  # arrivals, against the least delay
        self.stages: dict[str, Samples] = {}
        self.events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self.bytes_in = self.bytes_out = 0
        self.frame = 0  # number of the last tick
        self._said: dict[tuple[str, str], Event] = {}
        self._numbers = count(1)  # several threads have events

    def stage(self, name: str, spent_s: float) -> None:
        """Counts the time of a stage."""
        samples = self.stages.setdefault(name, Samples(Histogram(STAGE_BUCKETS)))
        samples.see(spent_s * 1e3)

    def event(self, level: str, name: str, text: str) -> Event:
        """Keeps an event, and gives it; of errors that are the same word for word one in 10 s."""
        now_s = time.time()
        said = self._said.get((name, text))
        if said is not None and now_s - said.time_s < SAME_ERROR_S:
            return said
        one = Event(next(self._numbers), now_s, self.frame, level, name, text)
        if level == "error":
            self._said = {(name, text): one}
        self.events.append(one)
        return one


def memory_bytes(pid: int | None = None) -> int:
    """Resident memory of a process; 0 where nobody says."""
    try:
        with open(f"/proc/{pid or os.getpid()}/statm") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0
