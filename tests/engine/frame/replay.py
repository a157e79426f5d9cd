"""Frames laid out in time as lanes and waits allow, and replayed in any order that they allow."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from keeprt.engine.frame.layout import Layout
from keeprt.engine.frame.operations import Operation
from keeprt.engine.frame.waits import Node

Edge = tuple[Node, Node]


@dataclass(frozen=True)
class Step:
    """One operation of one frame; `ends` are the buffers it may be the last to touch."""

    node: Node
    operation: Operation
    frame: int
    waits: tuple[Node, ...]

    def __str__(self) -> str:
        return f"{self.operation.name} of frame {self.frame}"


def lay_out(frames: Sequence[Sequence[Operation]], layout: Layout) -> list[Step]:
    tracker, steps = layout.tracker(), []
    for index, frame in enumerate(frames):
        for op in frame:
            lane = layout.lane(op.name)
            reads = [layout.physical(b, index) for b in op.reads]
            writes = [layout.physical(b, index) for b in op.writes]
            waits = tracker.submit(lane, reads, writes)
            steps.append(Step(tracker.newest(lane), op, index, waits))
    return steps


def edges_of(steps: Sequence[Step]) -> list[Edge]:
    return [(wait, step.node) for step in steps for wait in step.waits]


def some_order(
    steps: Sequence[Step], chance: random.Random, removed: Edge | None = None
) -> Iterator[Step]:
    """An order at random; lanes have random weights, so that one may run far ahead of another."""
    lanes: dict[str, list[Step]] = {}
    for step in steps:
        lanes.setdefault(step.node.lane, []).append(step)
    weights = {lane: 10 ** chance.uniform(-3, 0) for lane in lanes}
    done: set[Node] = set()

    def ready(step: Step) -> bool:
        return all(wait in done or (wait, step.node) == removed for wait in step.waits)

    heads = dict.fromkeys(lanes, 0)
    while True:
        able = [
            lane for lane, at in heads.items() if at < len(lanes[lane]) and ready(lanes[lane][at])
        ]
        if not able:
            break
        (lane,) = chance.choices(able, [weights[lane] for lane in able])
        step = lanes[lane][heads[lane]]
        heads[lane] += 1
        yield step
        done.add(step.node)
    assert len(done) == len(steps), "the waits stand in a circle"


def replay(
    order: Iterator[Step],
    steps: Sequence[Step],
    layout: Layout,
    run: Callable[[Step], None],
    poison: Callable[[str], None],
) -> None:
    """Runs the steps; a buffer is poisoned when the last operation of its frame has used it."""
    left: dict[tuple[str, int], int] = {}
    inside = layout.arena.offsets

    def used(step: Step) -> set[str]:
        buffers = step.operation.reads | step.operation.writes
        return {name for b in buffers if (name := layout.physical(b, step.frame)) in inside}

    for step in steps:
        for buffer in used(step):
            left[buffer, step.frame] = left.get((buffer, step.frame), 0) + 1
    for step in order:
        run(step)
        for buffer in used(step):
            left[buffer, step.frame] -= 1
            if not left[buffer, step.frame]:
                poison(buffer)
