"""Buffers in one block: as large as the peak of what is live, and nothing live is overwritten."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement, product

import numpy as np
import pytest

from keeprt.engine.frame.arena import ALIGNMENT, conflicts, pack, peak
from keeprt.engine.frame.buffers import BufferTable
from keeprt.engine.frame.face_list import FaceList
from keeprt.engine.frame.layout import Layout, overlapped_layout, serial_layout
from keeprt.engine.frame.operations import Operation
from tests.engine.borders import released_borders

WINDOW, CHUNK = 8, 20
OperationList = Sequence[Operation]


def stream_of(faces: int) -> tuple[FaceList, BufferTable]:
    bundle = released_borders()
    table = BufferTable(bundle, faces=faces, frames=WINDOW, selected=1)
    return FaceList(bundle, table, WINDOW), table


def clip_cycle() -> tuple[list[OperationList], BufferTable]:
    bundle = released_borders()
    table = BufferTable(bundle, faces=1, frames=CHUNK + 1, selected=CHUNK)
    graph = FaceList(bundle, table, WINDOW)
    return [graph.observe(), graph.chunk_gains(CHUNK, 1), graph.chunk_frame(True)], table


def live_bytes(frames: Sequence[OperationList], table: BufferTable, layout: Layout) -> list[int]:
    """Bytes live at each operation when all run in the order of the lists."""
    totals = []
    for frame in frames:
        spans: dict[str, list[int]] = {}
        for place_in_list, op in enumerate(frame):
            for buffer in (op.reads | op.writes) & table.specs.keys():
                spans.setdefault(buffer, []).append(place_in_list)
        for at in range(len(frame)):
            live = [b for b, span in spans.items() if min(span) <= at <= max(span)]
            totals.append(sum(layout.arena.sizes[layout.physical(b, 0)] for b in live))
    return totals


@pytest.mark.parametrize("faces", [1, 2, 3])
def test_serial_arena_is_as_large_as_the_peak_of_live_buffers(faces: int) -> None:
    graph, table = stream_of(faces)
    frame = graph.stream([WINDOW] * faces)
    layout = serial_layout([frame], table.specs)
    assert layout.arena.size_bytes == max(live_bytes([frame], table, layout))
    assert layout.arena.size_bytes < 0.7 * sum(spec.size_bytes for spec in table.specs.values())


def test_clip_arena_is_as_large_as_the_peak_of_live_buffers() -> None:
    cycle, table = clip_cycle()
    layout = serial_layout(cycle, table.specs)
    assert layout.arena.size_bytes == max(live_bytes(cycle, table, layout))


@pytest.mark.parametrize("faces", [1, 2, 3])
def test_overlapped_arena_is_as_large_as_what_may_be_live_at_once(faces: int) -> None:
    graph, table = stream_of(faces)
    frame = graph.stream([WINDOW] * faces)
    layout = overlapped_layout(frame, table.specs)
    found = conflicts([frame], layout.lanes, layout.doubled)
    inside = {name: found[name] & layout.arena.sizes.keys() for name in layout.arena.sizes}
    assert layout.arena.size_bytes == peak(layout.arena.sizes, inside)


@pytest.mark.parametrize("overlapped", [False, True])
@pytest.mark.parametrize("faces", [1, 3])
def test_no_list_overwrites_what_it_still_needs(faces: int, overlapped: bool) -> None:
    graph, table = stream_of(faces)
    steady = graph.stream([WINDOW] * faces)
    layout = (
        overlapped_layout(steady, table.specs)
        if overlapped
        else serial_layout([steady], table.specs)
    )
    for held in combinations_with_replacement((WINDOW, 3, 1, 0), faces):
        check_contents(graph.stream(held), table, layout)


def test_clip_lists_overwrite_nothing_that_they_still_need() -> None:
    cycle, table = clip_cycle()
    layout = serial_layout(cycle, table.specs)
    bundle = released_borders()
    graph = FaceList(bundle, table, WINDOW)
    others = [graph.chunk_gains(3, 0), graph.chunk_frame(False)]
    for frame in (*cycle, *others):
        check_contents(frame, table, layout)


def check_contents(frame: OperationList, table: BufferTable, layout: Layout) -> None:
    """Every read finds the bytes of the last write of that name, not of another buffer."""
    owner = np.full(layout.arena.size_bytes // ALIGNMENT, "", dtype=object)
    for op in frame:
        for buffer in op.reads & table.specs.keys():
            assert (owner[span(layout, buffer)] == buffer).all(), f"{op.name} reads {buffer}"
        for buffer in op.writes & table.specs.keys():
            owner[span(layout, buffer)] = buffer
        for a, b in product(op.writes & table.specs.keys(), (op.reads | op.writes)):
            assert a == b or b not in layout.arena.overlapping(layout.physical(a, 0)), op.name


def span(layout: Layout, buffer: str) -> slice:
    name = layout.physical(buffer, 0)
    start = layout.arena.offsets[name] // ALIGNMENT
    return slice(start, start + layout.arena.sizes[name] // ALIGNMENT)


def test_place_finds_an_order_where_largest_first_fails() -> None:
    # A chain of neighbours: largest first leaves a hole that the last one does not fit.
    sizes = {"a": 3 * ALIGNMENT, "b": 2 * ALIGNMENT, "c": 2 * ALIGNMENT, "d": 1, "e": ALIGNMENT * 2}
    pairs = ["ab", "bc", "bd", "cd", "ce", "de"]
    found = {name: {p.replace(name, "") for p in pairs if name in p} for name in sizes}
    arena = pack(sizes, found)
    assert arena.size_bytes == peak(sizes, found) == 5 * ALIGNMENT
    for a, b in pairs:
        assert b not in arena.overlapping(a)
