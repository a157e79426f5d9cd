"""Waits between lanes: the fewest that keep every operation after what it depends on.

An operation depends on whoever wrote what it reads, and on whoever read or wrote what it writes;
memory that two buffers share counts as both. Within a lane operations run in the order given, so
only waits between lanes are needed, and of these only the ones that no other wait implies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Node:
    """The `index`-th operation of a lane, counted from 1."""

    lane: str
    index: int


@dataclass
class _History:
    writer: Node | None = None
    readers: dict[str, Node] = field(default_factory=dict)


class Tracker:
    """Follows operations as they are submitted; memory it keeps does not grow with their number."""

    def __init__(self, overlapping: Callable[[str], Iterable[str]]) -> None:
        """`overlapping` gives the buffers that share memory with one, itself among them."""
        self._overlapping = overlapping
        self._histories: dict[str, _History] = {}
        self._newest: dict[str, Node] = {}
        self._clocks: dict[Node, dict[str, int]] = {}

    def submit(self, lane: str, reads: Iterable[str], writes: Iterable[str]) -> tuple[Node, ...]:
        """The nodes of other lanes that the next operation of `lane` must wait for."""
        reads, writes = tuple(reads), tuple(writes)
        previous = self._newest.get(lane)
        clock = dict(self._clocks[previous]) if previous else {}
        waits = self._fewest(self._dependencies(reads, writes), clock)
        for wait in waits:
            for other, index in self._clocks[wait].items():
                clock[other] = max(clock.get(other, 0), index)
        node = Node(lane, clock.get(lane, 0) + 1)
        clock[lane] = node.index
        self._newest[lane], self._clocks[node] = node, clock
        self._note(node, reads, writes)
        return waits

    def newest(self, lane: str) -> Node:
        """The operation submitted to a lane last."""
        return self._newest[lane]

    def done_before(self, lane: str) -> Mapping[str, int]:
        """How many operations of each lane are over when the newest of `lane` is."""
        return self._clocks[self._newest[lane]]

    def _dependencies(self, reads: Iterable[str], writes: Iterable[str]) -> set[Node]:
        found: set[Node] = set()
        for buffer in (*reads, *writes):
            for shared in self._overlapping(buffer):
                history = self._histories.get(shared)
                if history and history.writer:
                    found.add(history.writer)
                if history and buffer in writes:
                    found.update(history.readers.values())
        return found

    def _fewest(self, dependencies: set[Node], clock: Mapping[str, int]) -> tuple[Node, ...]:
        open_ones = [node for node in dependencies if clock.get(node.lane, 0) < node.index]
        fewest = (
            node
            for node in open_ones
            if not any(
                self._clocks[other].get(node.lane, 0) >= node.index
                for other in open_ones
                if other != node
            )
        )
        return tuple(sorted(fewest, key=lambda node: (node.lane, node.index)))

    def _note(self, node: Node, reads: Iterable[str], writes: Iterable[str]) -> None:
        for buffer in reads:
            self._histories.setdefault(buffer, _History()).readers[node.lane] = node
        for buffer in writes:
            self._histories[buffer] = _History(node)
        used = {n for h in self._histories.values() for n in (h.writer, *h.readers.values()) if n}
        used.update(self._newest.values())
        self._clocks = {kept: self._clocks[kept] for kept in used}
