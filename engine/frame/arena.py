"""One block of memory for all buffers: those that can never be live at once share bytes."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from keeprt.engine.frame.lanes import lane_of
from keeprt.engine.frame.operations import Operation
from keeprt.engine.frame.waits import Tracker

ALIGNMENT = 256  # bytes; what TensorRT asks of an address
CYCLES = 4
ATTEMPTS = 200

Conflicts = Mapping[str, Collection[str]]


@dataclass(frozen=True)
class Arena:
    """Where each physical buffer starts, and how large the block is, in bytes."""

    offsets: Mapping[str, int]
    sizes: Mapping[str, int]
    size_bytes: int

    def overlapping(self, buffer: str) -> tuple[str, ...]:
        """The buffers that share memory with one, itself first; outside memory is its own."""
        if buffer not in self.offsets:
            return (buffer,)
        start, end = self._span(buffer)
        others = (
            other
            for other in self.offsets
            if other != buffer and self._span(other)[0] < end and start < self._span(other)[1]
        )
        return (buffer, *others)

    def _span(self, buffer: str) -> tuple[int, int]:
        return self.offsets[buffer], self.offsets[buffer] + self.sizes[buffer]


def physical(buffer: str, index: int, doubled: Collection[str]) -> str:
    """The buffer that frame number `index` uses under this name."""
    return f"{buffer}@{index % 2}" if buffer in doubled else buffer


def conflicts(
    cycle: Sequence[Sequence[Operation]], lanes: Mapping[str, str], doubled: Collection[str]
) -> dict[str, set[str]]:
    """For each physical buffer those that may be live beside it in some order the lanes allow.

    `cycle` are frames that repeat for ever. A buffer is live from the first to the last operation
    of one frame that touches it.
    """
    frames = [frame for _ in range(CYCLES) for frame in cycle]
    tracker = Tracker(lambda buffer: (buffer,))
    lives: dict[tuple[str, int], list[tuple[str, int, Mapping[str, int]]]] = {}
    for index, frame in enumerate(frames):
        for op in frame:
            lane = lane_of(op.name, lanes)
            reads, writes = (
                [physical(b, index, doubled) for b in names] for names in (op.reads, op.writes)
            )
            tracker.submit(lane, reads, writes)
            access = (lane, tracker.newest(lane).index, dict(tracker.done_before(lane)))
            for buffer in {*reads, *writes}:
                lives.setdefault((buffer, index), []).append(access)
    found: dict[str, set[str]] = {buffer: set() for buffer, _ in lives}
    for (a, life_a), (b, life_b) in combinations(((n[0], life) for n, life in lives.items()), 2):
        if a != b and not (_before(life_a, life_b) or _before(life_b, life_a)):
            found[a].add(b)
            found[b].add(a)
    return found


def pack(sizes: Mapping[str, int], conflicts: Conflicts) -> Arena:
    """Offsets that give conflicting buffers bytes of their own, in a block as small as found.

    Largest first, each at the lowest place that is free; then shuffled orders, until the block is
    no larger than `peak`, below which none can be.
    """
    rounded = {name: -(-size // ALIGNMENT) * ALIGNMENT for name, size in sizes.items()}
    order = sorted(rounded, key=lambda name: (-rounded[name], name))
    bound, shuffle = peak(sizes, conflicts), random.Random(0).shuffle
    best = _first_fit(order, rounded, conflicts)
    for _ in range(ATTEMPTS):
        if best.size_bytes == bound:
            break
        shuffle(order)
        best = min(best, _first_fit(order, rounded, conflicts), key=lambda arena: arena.size_bytes)
    return best


def peak(sizes: Mapping[str, int], conflicts: Conflicts) -> int:
    """The most bytes of buffers that all conflict with one another, rounded to the alignment."""
    rounded = {name: -(-size // ALIGNMENT) * ALIGNMENT for name, size in sizes.items()}
    order = sorted(rounded, key=lambda name: -rounded[name])

    def heaviest(candidates: list[str], weight: int, best: int) -> int:
        best = max(best, weight)
        for index, name in enumerate(candidates):
            rest = candidates[index:]
            if weight + sum(rounded[other] for other in rest) <= best:
                break
            beside = [other for other in rest if other in conflicts[name]]
            best = heaviest(beside, weight + rounded[name], best)
        return best

    return heaviest(order, 0, 0)


def _before(
    life: list[tuple[str, int, Mapping[str, int]]], later: list[tuple[str, int, Mapping[str, int]]]
) -> bool:
    """Whether every operation of one life is over before any of the other begins."""
    return all(
        done.get(lane, 0) >= index and (lane, index) != (other_lane, other_index)
        for lane, index, _ in life
        for other_lane, other_index, done in later
    )


def _first_fit(order: Sequence[str], sizes: Mapping[str, int], conflicts: Conflicts) -> Arena:
    offsets: dict[str, int] = {}
    for name in order:
        taken = sorted(
            (offsets[other], offsets[other] + sizes[other])
            for other in offsets
            if other in conflicts[name]
        )
        start = 0
        for low, high in taken:
            if start + sizes[name] <= low:
                break
            start = max(start, high)
        offsets[name] = start
    ends = (offsets[name] + sizes[name] for name in offsets)
    return Arena(offsets, dict(sizes), max(ends, default=0))
