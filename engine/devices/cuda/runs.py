"""Subgraphs on the card: each bound once to addresses and sizes, captured, and then replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from keeprt.engine.devices.cuda.guest import handle_of

if TYPE_CHECKING:
    from cuda.core import Stream
    from cuda.core.graph import Graph

    from keeprt.engine.devices.cuda.engines import Engines, Run

KEPT_RUNS = 512  # more than a restorer of eight faces needs; least recently used ones go first

Key = tuple[str, tuple[tuple[str, int], ...], tuple[tuple[str, int], ...]]


class BoundRun:
    """One subgraph on fixed addresses; eager at its first use, as a library that picks kernels by
    shape asks for, captured at its second."""

    def __init__(self, run: Run, captures: bool) -> None:
        self._run, self._captures = run, captures
        self.graph: Graph | None = None
        self.used_at = 0
        self.used = self.dropped = False

    def put(self, stream: Stream, at_once: bool = False) -> None:
        """Puts a run that has no graph yet on its stream; with `at_once` it is captured after its
        first use."""
        if self.used:
            self._capture(stream)
        self.used = True
        if self.graph is not None:
            self.graph.launch(stream)
            return
        self._run(handle_of(stream))
        if at_once:
            self._capture(stream)

    def _capture(self, stream: Stream) -> None:
        if self._captures:
            self.graph = capture(stream, self._run)

    def close(self) -> None:
        """Drops the graph, which must not be running."""
        self.dropped = True
        if self.graph is not None:
            self.graph.close()
            self.graph = None


class BoundRuns:
    """All runs of a restorer, by subgraph, addresses and sizes."""

    def __init__(self, engines: Engines, eager: bool, synchronise: Callable[[], None]) -> None:
        """`synchronise` waits for everything on the card."""
        self._engines, self._synchronise = engines, synchronise
        self._captures = engines.captures and not eager
        self._runs: dict[Key, BoundRun] = {}
        self._clock, self._at_once = count(1), False
        #: Runs that were bound and captured so far, dropped ones too.
        self.prepared = 0

    def __len__(self) -> int:
        return len(self._runs)

    @contextmanager
    def capturing_at_once(self) -> Iterator[None]:
        """Runs that are put on a stream for the first time here are captured as well."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def get(self, key: Key) -> BoundRun:
        """The run of that key, bound at its first use."""
        found = self._runs.get(key)
        if found is None:
            while len(self._runs) >= KEPT_RUNS:
                self._drop_oldest()
            subgraph, addresses, axes = key
            run = self._engines.bind(subgraph, dict(addresses), dict(axes))
            self.prepared += 1
            found = self._runs[key] = BoundRun(run, self._captures)
            found.used_at = next(self._clock)
        return found

    def step(
        self, subgraph: str, addresses: Mapping[str, int], axes: Mapping[str, int]
    ) -> Callable[[Stream, Sequence[int]], None]:
        """What puts a run on a stream, whether or not it was dropped meanwhile."""
        key = (subgraph, tuple(sorted(addresses.items())), tuple(sorted(axes.items())))
        run, clock = self.get(key), self._clock

        def put(stream: Stream, slots: Sequence[int]) -> None:
            nonlocal run
            if run.dropped:
                run = self.get(key)
            run.used_at = next(clock)
            if run.graph is not None:
                run.graph.launch(stream)
                return
            run.put(stream, self._at_once)
            self.prepared += run.graph is not None

        return put

    def close(self) -> None:
        """Drops all runs, once everything on the card is done."""
        self._synchronise()
        for run in self._runs.values():
            run.close()
        self._runs.clear()

    def _drop_oldest(self) -> None:
        self._synchronise()  # a graph that is being replayed is not to be dropped
        key = min(self._runs, key=lambda key: self._runs[key].used_at)
        self._runs.pop(key).close()


def capture(stream: Stream, run: Run) -> Graph:
    """The run as one graph, on the card before its first launch; an error ends the capture."""
    from cuda.core.graph import GraphCompleteOptions

    builder: Any = stream.create_graph_builder()  # cuda-core leaves close() untyped
    try:
        builder.begin_building()
        try:
            run(handle_of(builder))
        finally:
            builder.end_building()
        graph: Graph = builder.complete(GraphCompleteOptions(upload_stream=stream))
        return graph
    finally:
        builder.close()
