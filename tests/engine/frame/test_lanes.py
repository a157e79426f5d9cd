"""What may run beside what: lanes, doubled buffers and the waits between lanes."""

from __future__ import annotations

from keeprt.engine.frame.buffers import BufferTable
from keeprt.engine.frame.face_list import FaceList
from keeprt.engine.frame.lanes import AFTER, AHEAD, CHAIN, doubled_buffers, lanes_of
from keeprt.engine.frame.layout import Layout, overlapped_layout
from keeprt.engine.frame.segments import segments_of, waits_of
from keeprt.engine.frame.waits import Node, Tracker
from tests.engine.borders import released_borders

WINDOW = 8


def steady_layout() -> tuple[FaceList, Layout]:
    bundle = released_borders()
    table = BufferTable(bundle, faces=2, frames=WINDOW, selected=1)
    graph = FaceList(bundle, table, WINDOW)
    return graph, overlapped_layout(graph.stream([WINDOW, WINDOW]), table.specs)


def test_only_what_waits_for_the_previous_face_is_in_the_chain() -> None:
    _, layout = steady_layout()
    chain = {name for name, lane in layout.lanes.items() if lane == CHAIN}
    assert chain == {"recall_face", "warp", "hq_encoder", "recall_caches", "decoder", "keep_face"}
    assert layout.lanes["download"] == AFTER
    for name in ("upload", "lq_encoder", "flow_features", "flow_matching", "gain_net.0"):
        assert layout.lanes[name] == AHEAD
    assert layout.lane("gain_net.1") == AHEAD


def test_buffers_between_lanes_are_doubled() -> None:
    graph, layout = steady_layout()
    frame = graph.stream([WINDOW])
    assert doubled_buffers(frame, lanes_of(frame)) == layout.doubled
    assert layout.doubled == {
        *("latent", "tap_16", "tap_32", "tap_64", "flow", "mask", "gain", "is_first"),
        *("restored", "codes", "margin"),
    }


def test_steady_frames_wait_only_where_data_or_memory_is_handed_over() -> None:
    graph, layout = steady_layout()
    tracker, names, waits = layout.tracker(), {}, {}
    for index in range(6):
        for op in graph.stream([WINDOW, WINDOW]):
            lane = layout.lane(op.name)
            found = tracker.submit(
                lane,
                [layout.physical(b, index) for b in op.reads],
                [layout.physical(b, index) for b in op.writes],
            )
            names[tracker.newest(lane)] = (op.name, index)
            if index == 5 and found:
                waits[op.name] = [(names[n][0], names[n][1] - index) for n in found]
    assert waits == {
        "flow_matching": [("warp", -2)],  # flow and mask are free again
        "lq_encoder": [("decoder", -2)],  # latent and taps
        "warp": [("flow_matching", 0)],
        "decoder": [("download", -2), ("place_gain.0", 0)],
        "download": [("decoder", 0)],
    }


def test_tracker_waits_for_each_kind_of_hazard_and_for_no_more() -> None:
    tracker = Tracker(lambda buffer: ("p", "q") if buffer in "pq" else (buffer,))
    assert tracker.submit("one", [], ["a"]) == ()
    assert tracker.submit("two", ["a"], ["b"]) == (Node("one", 1),)  # read after write
    assert tracker.submit("two", ["a"], ["c"]) == ()  # already waited for
    assert tracker.submit("one", [], ["a"]) == (Node("two", 2),)  # write after read
    assert tracker.submit("two", [], ["a"]) == (Node("one", 2),)  # write after write
    assert tracker.submit("one", [], ["p"]) == ()
    assert tracker.submit("two", [], ["q"]) == (Node("one", 3),)  # shared bytes
    assert tracker.submit("three", ["q"], []) == (Node("two", 4),)
    assert tracker.submit("four", ["b", "q"], ["p"]) == (Node("three", 1),)  # implies the rest


def test_waits_of_a_steady_frame_are_enough_for_every_other_one() -> None:
    """They are computed once, so no list may touch what the steady one does not, in its lane."""
    graph, layout = steady_layout()
    steady = graph.stream([WINDOW, WINDOW])
    for index in range(2):
        touched = {s.lane: s for s in segments_of(steady, layout, index)}
        for windows in ([0], [0, 0], [3, 0], [WINDOW], [WINDOW, 1], [WINDOW, 0]):
            for segment in segments_of(graph.stream(windows), layout, index):
                allowed = touched[segment.lane]
                assert segment.reads <= allowed.reads | allowed.writes, (windows, segment.lane)
                assert segment.writes <= allowed.writes, (windows, segment.lane)
    even, odd = waits_of(steady, layout)
    assert (
        even
        == odd
        == {
            AHEAD: ((CHAIN, 2),),
            CHAIN: ((AFTER, 2), (AHEAD, 0)),
            AFTER: ((CHAIN, 0),),
        }
    )
