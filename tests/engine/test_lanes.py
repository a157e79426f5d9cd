"""What may run beside what: lanes, doubled buffers and the waits between lanes."""

from __future__ import annotations

from keeprt.engine.buffers import BufferTable
from keeprt.engine.frame_graph import FrameGraph
from keeprt.engine.lanes import AFTER, AHEAD, CHAIN, doubled_buffers, lanes_of
from keeprt.engine.plan import Plan, overlapped_plan
from keeprt.engine.schedule import Node, Tracker

from .borders import released_borders

WINDOW = 8


def steady_plan() -> tuple[FrameGraph, Plan]:
    bundle = released_borders()
    table = BufferTable(bundle, faces=2, frames=WINDOW, selected=1)
    graph = FrameGraph(bundle, table, WINDOW)
    return graph, overlapped_plan(graph.stream([WINDOW, WINDOW]), table.specs)


def test_only_what_waits_for_the_previous_face_is_in_the_chain() -> None:
    _, plan = steady_plan()
    chain = {name for name, lane in plan.lanes.items() if lane == CHAIN}
    assert chain == {"recall_face", "warp", "hq_encoder", "recall_caches", "decoder", "keep_face"}
    assert plan.lanes["download"] == AFTER
    for name in ("upload", "lq_encoder", "flow_features", "flow_matching", "gain_net.0"):
        assert plan.lanes[name] == AHEAD
    assert plan.lane("gain_net.1") == AHEAD


def test_buffers_between_lanes_are_doubled() -> None:
    graph, plan = steady_plan()
    frame = graph.stream([WINDOW])
    assert doubled_buffers(frame, lanes_of(frame)) == plan.doubled
    assert plan.doubled == {
        *("latent", "tap_16", "tap_32", "tap_64", "flow", "mask", "gain", "is_first"),
        *("restored", "codes"),
    }


def test_steady_frames_wait_only_where_data_or_memory_is_handed_over() -> None:
    graph, plan = steady_plan()
    tracker, names, waits = plan.tracker(), {}, {}
    for index in range(6):
        for op in graph.stream([WINDOW, WINDOW]):
            lane = plan.lane(op.name)
            found = tracker.submit(
                lane,
                [plan.physical(b, index) for b in op.reads],
                [plan.physical(b, index) for b in op.writes],
            )
            names[tracker.newest(lane)] = (op.name, index)
            if index == 5 and found:
                waits[op.name] = [(names[n][0], names[n][1] - index) for n in found]
    assert waits == {
        "flow_matching": [("warp", -2)],  # flow and mask are free again
        "lq_encoder": [("decoder", -2)],  # latent and taps
        "warp": [("flow_matching", 0)],
        "decoder": [("download", -2), ("gain_net.0", 0)],
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
