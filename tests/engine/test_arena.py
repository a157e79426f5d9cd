"""Buffers in one block: as large as the peak of what is live, and nothing live is overwritten."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement, product

import numpy as np
import pytest

from keeprt.engine.arena import ALIGNMENT, conflicts, peak, place
from keeprt.engine.buffers import BufferTable
from keeprt.engine.frame_graph import FrameGraph
from keeprt.engine.operations import Operation
from keeprt.engine.plan import Plan, overlapped_plan, serial_plan

from .borders import released_borders

WINDOW, CHUNK = 8, 20
Frame = Sequence[Operation]


def stream_of(faces: int) -> tuple[FrameGraph, BufferTable]:
    bundle = released_borders()
    table = BufferTable(bundle, faces=faces, frames=WINDOW, selected=1)
    return FrameGraph(bundle, table, WINDOW), table


def clip_cycle() -> tuple[list[Frame], BufferTable]:
    bundle = released_borders()
    table = BufferTable(bundle, faces=1, frames=CHUNK + 1, selected=CHUNK)
    graph = FrameGraph(bundle, table, WINDOW)
    return [graph.observe(), graph.chunk_gains(CHUNK, 1), graph.chunk_frame(True)], table


def live_bytes(frames: Sequence[Frame], table: BufferTable, plan: Plan) -> list[int]:
    """Bytes live at each operation when all run in the order of the lists."""
    totals = []
    for frame in frames:
        spans: dict[str, list[int]] = {}
        for place_in_list, op in enumerate(frame):
            for buffer in (op.reads | op.writes) & table.specs.keys():
                spans.setdefault(buffer, []).append(place_in_list)
        for at in range(len(frame)):
            live = [b for b, span in spans.items() if min(span) <= at <= max(span)]
            totals.append(sum(plan.arena.sizes[plan.physical(b, 0)] for b in live))
    return totals


@pytest.mark.parametrize("faces", [1, 2, 3])
def test_serial_arena_is_as_large_as_the_peak_of_live_buffers(faces: int) -> None:
    graph, table = stream_of(faces)
    frame = graph.stream([WINDOW] * faces)
    plan = serial_plan([frame], table.specs)
    assert plan.arena.size_bytes == max(live_bytes([frame], table, plan))
    assert plan.arena.size_bytes < 0.7 * sum(spec.size_bytes for spec in table.specs.values())


def test_clip_arena_is_as_large_as_the_peak_of_live_buffers() -> None:
    cycle, table = clip_cycle()
    plan = serial_plan(cycle, table.specs)
    assert plan.arena.size_bytes == max(live_bytes(cycle, table, plan))


@pytest.mark.parametrize("faces", [1, 2, 3])
def test_overlapped_arena_is_as_large_as_what_may_be_live_at_once(faces: int) -> None:
    graph, table = stream_of(faces)
    frame = graph.stream([WINDOW] * faces)
    plan = overlapped_plan(frame, table.specs)
    found = conflicts([frame], plan.lanes, plan.doubled)
    inside = {name: found[name] & plan.arena.sizes.keys() for name in plan.arena.sizes}
    assert plan.arena.size_bytes == peak(plan.arena.sizes, inside)


@pytest.mark.parametrize("overlapped", [False, True])
@pytest.mark.parametrize("faces", [1, 3])
def test_no_list_overwrites_what_it_still_needs(faces: int, overlapped: bool) -> None:
    graph, table = stream_of(faces)
    steady = graph.stream([WINDOW] * faces)
    plan = (
        overlapped_plan(steady, table.specs) if overlapped else serial_plan([steady], table.specs)
    )
    for held in combinations_with_replacement((WINDOW, 3, 1, 0), faces):
        check_contents(graph.stream(held), table, plan)


def test_clip_lists_overwrite_nothing_that_they_still_need() -> None:
    cycle, table = clip_cycle()
    plan = serial_plan(cycle, table.specs)
    bundle = released_borders()
    graph = FrameGraph(bundle, table, WINDOW)
    others = [graph.chunk_gains(3, 0), graph.chunk_frame(False)]
    for frame in (*cycle, *others):
        check_contents(frame, table, plan)


def check_contents(frame: Frame, table: BufferTable, plan: Plan) -> None:
    """Every read finds the bytes of the last write of that name, not of another buffer."""
    owner = np.full(plan.arena.size_bytes // ALIGNMENT, "", dtype=object)
    for op in frame:
        for buffer in op.reads & table.specs.keys():
            assert (owner[span(plan, buffer)] == buffer).all(), f"{op.name} reads {buffer}"
        for buffer in op.writes & table.specs.keys():
            owner[span(plan, buffer)] = buffer
        for a, b in product(op.writes & table.specs.keys(), (op.reads | op.writes)):
            assert a == b or b not in plan.arena.overlapping(plan.physical(a, 0)), op.name


def span(plan: Plan, buffer: str) -> slice:
    name = plan.physical(buffer, 0)
    start = plan.arena.offsets[name] // ALIGNMENT
    return slice(start, start + plan.arena.sizes[name] // ALIGNMENT)


def test_place_finds_an_order_where_largest_first_fails() -> None:
    # A chain of neighbours: largest first leaves a hole that the last one does not fit.
    sizes = {"a": 3 * ALIGNMENT, "b": 2 * ALIGNMENT, "c": 2 * ALIGNMENT, "d": 1, "e": ALIGNMENT * 2}
    pairs = ["ab", "bc", "bd", "cd", "ce", "de"]
    found = {name: {p.replace(name, "") for p in pairs if name in p} for name in sizes}
    arena = place(sizes, found)
    assert arena.size_bytes == peak(sizes, found) == 5 * ALIGNMENT
    for a, b in pairs:
        assert b not in arena.overlapping(a)
