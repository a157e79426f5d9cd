"""What an operation needs and changes, read off its work; how long a frame's list is."""

from __future__ import annotations

from keeprt.engine.frame.buffers import BufferTable
from keeprt.engine.frame.face_list import FaceList
from keeprt.engine.frame.operations import Copy, Operation, Outside, Put, View
from tests.engine.borders import released_borders


def moved(*views: View) -> Operation:
    """Puts something into each view but the last, which is then read."""
    *written, read = views
    puts = tuple(Put(view, (0,)) for view in written)
    return Operation("move", (*puts, Copy(read, Outside("state.latents"))))


def test_what_an_operation_wrote_itself_it_does_not_need() -> None:
    low, high, all_of_it = View("a", (2, 3)), View("a", (1, 3), 6), View("a", (3, 3))
    assert moved(all_of_it).reads == {"a"}
    assert moved(all_of_it, all_of_it).reads == set()
    assert moved(high, low, all_of_it).reads == set()
    assert moved(all_of_it, high).reads == set()


def test_what_it_wrote_but_a_part_of_it_needs() -> None:
    low, high, all_of_it = View("a", (2, 3)), View("a", (1, 3), 6), View("a", (3, 3))
    assert moved(low, all_of_it).reads == {"a"}
    assert moved(low, high).reads == {"a"}
    assert moved(View("b", (3, 3)), all_of_it).reads == {"a"}
    late = Operation("late", (Copy(all_of_it, Outside("state.latents")), Put(all_of_it, (0,))))
    assert late.reads == {"a"}


def test_a_longer_window_takes_no_more_copies() -> None:
    bundle, counts = released_borders(), []
    for window in (3, 8, 20):
        table = BufferTable(bundle, faces=2, frames=window, selected=1)
        frame = FaceList(bundle, table, window).stream([window] * 2)
        counts.append(sum(len(op.work) for op in frame))
    assert counts[0] == counts[1] == counts[2]
