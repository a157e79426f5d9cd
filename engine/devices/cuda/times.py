"""A frame's times on the card, by CUDA events around each of its operations.

Events that record times cost some microseconds each: frames that are timed so are not the frames
whose whole time is quoted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from keeprt.engine.frame.times import FrameTimes

if TYPE_CHECKING:
    from cuda.core import Device, Event, Stream

H2D, D2H = "h2d", "download"  # the copies to the card, and the operation that ends a frame


class FrameClock:
    """Times the frames that are submitted and collected one at a time."""

    def __init__(self, card: Device) -> None:
        self._card = card
        self.frames: list[FrameTimes] = []
        self._spans: list[tuple[str, Event, Event]] = []
        self._start = self._enqueued = 0.0

    def begin(self) -> None:
        """The host begins to submit a frame."""
        self._spans, self._start = [], time.perf_counter()

    @contextmanager
    def timed(self, stream: Stream, name: str) -> Iterator[None]:
        """Around what is put on a stream. Nothing is kept of what fails."""
        start = self._mark(stream)
        yield
        self._spans.append((name, start, self._mark(stream)))

    def enqueued(self) -> None:
        """All of the frame is on the streams."""
        self._enqueued = time.perf_counter()

    def collected(self) -> None:
        """The frame is done and its pictures are the caller's."""
        end = time.perf_counter()
        ends = {name: (start, stop) for name, start, stop in self._spans}
        taken: dict[str, float] = {}
        for name, start, stop in self._spans:
            taken[name] = taken.get(name, 0.0) + _ms(start, stop)
        h2d, d2h = taken.pop(H2D), taken.pop(D2H)
        self.frames.append(
            FrameTimes(
                enqueue_ms=1e3 * (self._enqueued - self._start),
                h2d_ms=h2d,
                gpu_compute_ms=_ms(ends[H2D][1], ends[D2H][0]),
                d2h_ms=d2h,
                end_to_end_ms=1e3 * (end - self._start),
                stages_ms=taken,
            )
        )
        self._drop()

    def _mark(self, stream: Stream) -> Event:
        from cuda.core import EventOptions

        event = self._card.create_event(EventOptions(timing_enabled=True))
        stream.record(event)
        return event

    def _drop(self) -> None:
        held: list[Any] = [event for _, *both in self._spans for event in both]
        for event in held:  # cuda-core leaves close() untyped
            event.close()
        self._spans = []


def _ms(start: Any, end: Any) -> float:
    """Between two events that were recorded, on whichever streams."""
    return float(end - start)
