"""FFmpeg's filters in a row, for what PyAV cannot do to a frame itself."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import cast

import av
from av.filter import Graph

_TIME_BASE = Fraction(1, 90_000)


class FilterRow:
    """Filters, each a name and its options, for frames of one size and format."""

    def __init__(
        self, width: int, height: int, format: av.VideoFormat, filters: Iterable[tuple[str, str]]
    ) -> None:
        self._graph = Graph()
        # A frame at a time: threads would cost more than they save.
        self._graph.threads = 1
        last = self._graph.add_buffer(
            width=width, height=height, format=format, time_base=_TIME_BASE
        )
        for name, options in filters:
            next_filter = self._graph.add(name, options)
            last.link_to(next_filter)
            last = next_filter
        last.link_to(self._graph.add("buffersink"))
        self._graph.configure()

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame as it leaves the last filter."""
        self._graph.push(frame)
        return cast(av.VideoFrame, self._graph.pull())


def filtered(frame: av.VideoFrame, *filters: tuple[str, str]) -> av.VideoFrame:
    """One frame through filters made for it alone."""
    return FilterRow(frame.width, frame.height, frame.format, filters)(frame)
