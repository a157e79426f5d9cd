"""Races found without a GPU: six frames of two faces in every order that lanes and waits allow.

The many orders run stand-ins on the real buffers in the real arena: each operation writes bytes
that depend on every byte it reads. A few orders run the real sessions and kernels' twins.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine import FaceState, Restorer
from keeprt.engine.bundle.load import Bundle
from keeprt.engine.bundle.specs import SubgraphSpec, TensorSpec
from keeprt.engine.devices.cpu.device import CpuDevice
from keeprt.engine.frame.buffers import BufferTable
from keeprt.engine.frame.face_list import FaceList
from keeprt.engine.frame.layout import Layout, overlapped_layout
from keeprt.engine.frame.operations import Operand, Outside, View, sources_of, targets_of
from keeprt.engine.frame.segments import segments_of
from keeprt.engine.frame.video_list import VideoList
from keeprt.engine.libraries.onnxruntime.sessions import OnnxRuntimeBackend
from keeprt.kernels.frame import FrameFormat
from tests.engine.borders import released_borders
from tests.engine.frame.replay import Edge, Step, edges_of, lay_out, replay, some_order
from tests.networks import faces

WINDOW = 3
# Two faces; the second is reset at the fourth frame. The last frames have full windows.
HELD = [(0, 0), (1, 1), (2, 2), (3, 0), (3, 1), (3, 2)]
ORDERS = 250
REAL_ORDERS = 8
FEWER = {512: 8, 576: 4, 256: 4, 128: 4, 64: 4, 32: 2, 16: 2}


def small_borders() -> Bundle:
    """The released network's tensors, of a few bytes each."""

    def shrunk(spec: TensorSpec) -> TensorSpec:
        axes = (FEWER.get(axis, axis) if isinstance(axis, int) else axis for axis in spec.shape)
        return replace(spec, shape=tuple(axes))

    def smaller(graph: SubgraphSpec) -> SubgraphSpec:
        inputs, outputs = (tuple(map(shrunk, specs)) for specs in (graph.inputs, graph.outputs))
        return replace(graph, inputs=inputs, outputs=outputs)

    bundle = released_borders()
    graphs = {name: smaller(graph) for name, graph in bundle.subgraphs.items()}
    return replace(bundle, manifest=replace(bundle.manifest, subgraphs=graphs))


class StandIns:
    """Operations that mix whatever they read into what they write."""

    def __init__(self, layout: Layout, table: BufferTable) -> None:
        self.layout, self.table = layout, table
        self.memory = np.zeros(layout.arena.size_bytes, np.uint8)
        self.outside: dict[tuple[Any, ...], bytes] = {}

    def run(self, step: Step) -> None:
        for number, work in enumerate(step.operation.work):
            sources, targets = list(sources_of(work)), list(targets_of(work))
            digest = hashlib.blake2b(f"{step.operation.name} {number}".encode())
            for source in sources:
                digest.update(self.read(source, step.frame))
            for index, target in enumerate(targets):
                self.write(target, step.frame, digest.digest() + bytes([index]))

    def poison(self, buffer: str) -> None:
        start = self.layout.arena.offsets[buffer]
        self.memory[start : start + self.layout.arena.sizes[buffer]] = 0xAA

    def read(self, operand: Operand, frame: int) -> bytes:
        if isinstance(operand, View):
            return self.part(operand, frame).tobytes()
        rows = range(operand.first, operand.first + (operand.count or 1))
        parts = (replace(operand, first=first, count=1) for first in rows)
        return b"".join(self.outside.get(self.key(part, frame), b"nothing") for part in parts)

    def write(self, operand: Operand, frame: int, value: bytes) -> None:
        if isinstance(operand, View):
            part = self.part(operand, frame)
            part[:] = np.resize(np.frombuffer(value, np.uint8), part.size)
        else:
            self.outside[self.key(operand, frame)] = value

    def key(self, operand: Outside, frame: int) -> tuple[Any, ...]:
        # Pictures are a frame's own; the state is one, frame after frame.
        own = None if operand.buffer.startswith("state.") else frame
        first = operand.first if operand.buffer == "state.latents" else None
        return operand.buffer, operand.row, first, own

    def part(self, view: View, frame: int) -> Any:
        bytes_each = self.table.specs[view.buffer].dtype.itemsize
        start = self.layout.arena.offsets[self.layout.physical(view.buffer, frame)]
        start += view.offset * bytes_each
        return self.memory[start : start + math.prod(view.shape) * bytes_each]

    def results(self) -> dict[tuple[Any, ...], bytes]:
        return {key: value for key, value in self.outside.items() if key[0] != "picture"}


class Timeline:
    """The six frames of a list of operations laid out in time, and what they give in order."""

    def __init__(self, video: FrameFormat | None = None) -> None:
        bundle = small_borders()
        self.table = BufferTable(bundle, faces=2, frames=WINDOW, selected=1)
        graph = FaceList(bundle, self.table, WINDOW)
        if video is not None:
            graph = VideoList(bundle, self.table, WINDOW, video, faces=2)
        self.layout = overlapped_layout(graph.stream([WINDOW, WINDOW]), self.table.specs)
        self.steps = lay_out([graph.stream(held) for held in HELD], self.layout)
        self.in_order = self.outcome(iter(self.steps))

    def outcome(self, order: Iterator[Step]) -> dict[tuple[Any, ...], bytes]:
        stand_ins = StandIns(self.layout, self.table)
        replay(order, self.steps, self.layout, stand_ins.run, stand_ins.poison)
        return stand_ins.results()

    def name_of(self, edge: Edge) -> str:
        names = {step.node: f"{step.operation.name}@{step.frame}" for step in self.steps}
        return f"{names[edge[0]]}->{names[edge[1]]}"


LISTS = {"faces": Timeline(), "video": Timeline(FrameFormat("nv12", 8, 6))}
EDGES = [
    pytest.param(timeline, edge, id=f"{name}-{timeline.name_of(edge)}")
    for name, timeline in LISTS.items()
    for edge in edges_of(timeline.steps)
]
of_each_list = pytest.mark.parametrize("timeline", LISTS.values(), ids=LISTS.keys())


@pytest.mark.parametrize(("name", "each"), [("faces", 2), ("video", 1)])
def test_stand_ins_tell_every_frame_and_face_apart(name: str, each: int) -> None:
    pictures = [v for key, v in LISTS[name].in_order.items() if key[0] == "result"]
    assert len(pictures) == len(set(pictures)) == each * len(HELD)


def test_both_faces_are_in_a_whole_frame() -> None:
    """The stand-in of a paste changes all of a frame's bytes: what it reads is looked at here."""
    timeline = LISTS["video"]
    paste = next(step for step in timeline.steps if step.operation.name == "paste")
    for name in ("restored", "crop"):
        offsets = [getattr(work, name).offset for work in paste.operation.work]
        assert offsets == [0, 3 * 8 * 8]
    assert {"frame", "placements", "restored", "face"} <= paste.operation.reads


@of_each_list
def test_every_allowed_order_gives_the_same_bytes(timeline: Timeline) -> None:
    chance, orders = random.Random(1), set()
    for number in range(ORDERS):
        order = list(some_order(timeline.steps, chance))
        orders.add(tuple(step.node for step in order))
        assert timeline.outcome(iter(order)) == timeline.in_order, f"order {number} of seed 1"
    assert len(orders) > 200
    ahead = max(reach(timeline, order) for order in orders)
    assert ahead >= 1, "no order ran a frame's share beside the chain of the one before"


def reach(timeline: Timeline, order: tuple[Any, ...]) -> int:
    """How many frames the lane ahead is in front of the chain, at most."""
    frames = {step.node: step.frame for step in timeline.steps}
    newest = {"ahead": 0, "chain": 0}
    drift = 0
    for node in order:
        if node.lane in newest:
            newest[node.lane] = frames[node]
            drift = max(drift, newest["ahead"] - newest["chain"])
    return drift


@of_each_list
def test_lane_by_lane_gives_the_same_bytes(timeline: Timeline) -> None:
    """A lane's share of a frame at a time, as CUDA graphs are launched."""
    steps = timeline.steps
    by_name = {(step.frame, step.operation.name): step for step in steps}
    frames = [[s.operation for s in steps if s.frame == index] for index in range(len(HELD))]
    order = [
        by_name[index, op.name]
        for index, frame in enumerate(frames)
        for segment in segments_of(frame, timeline.layout, index)
        for op in segment.operations
    ]
    assert len(order) == len(steps)
    assert timeline.outcome(iter(order)) == timeline.in_order


@pytest.mark.parametrize(("timeline", "edge"), EDGES)
def test_an_order_without_one_wait_gives_other_bytes(timeline: Timeline, edge: Edge) -> None:
    chance = random.Random(2)
    assert any(
        timeline.outcome(some_order(timeline.steps, chance, removed=edge)) != timeline.in_order
        for _ in range(4 * ORDERS)
    ), "taking this wait away changes nothing: it is not needed, or the test is blind to it"


class RealFrames:
    """The six frames with real sessions, on one device with an overlapped layout."""

    def __init__(self, bundle: Bundle, backend: OnnxRuntimeBackend) -> None:
        self.table = BufferTable(bundle, faces=2, frames=WINDOW, selected=1)
        graph = FaceList(bundle, self.table, WINDOW)
        layout = overlapped_layout(graph.stream([WINDOW, WINDOW]), self.table.specs)
        self.steps = lay_out([graph.stream(held) for held in HELD], layout)
        self.device = CpuDevice(layout, self.table.specs, backend)
        self.bound = [self.device.bind(step.operation, step.frame) for step in self.steps]
        self.videos = [faces(len(HELD), seed=seed) for seed in (1, 2)]
        self.states = [FaceState.new(bundle, WINDOW) for _ in self.videos]
        self.pictures: list[list[Any]] = []

    def replay(self, order: Iterator[Step]) -> list[Any]:
        self.pictures = [[None, None] for _ in HELD]
        for name in self.states[0].arrays:
            self.device.outside[f"state.{name}"] = [s.arrays[name] for s in self.states]
        replay(order, self.steps, self.device.layout, self.run, self.poison)
        return [picture for frame in self.pictures for picture in frame]

    def run(self, step: Step) -> None:
        self.device.outside["picture"] = [video[step.frame] for video in self.videos]
        self.device.outside["result"] = self.pictures[step.frame]
        self.bound[self.steps.index(step)]()

    def poison(self, buffer: str) -> None:
        arena = self.device.layout.arena
        start = arena.offsets[buffer]
        self.device.memory[start : start + arena.sizes[buffer]] = 0xFF  # NaN in every float


@pytest.mark.slow
def test_real_sessions_in_random_orders_give_the_restorer_s_pictures(tiny_bundle: Path) -> None:
    restorer = Restorer.load(tiny_bundle, threads=1, window=WINDOW, max_faces=2)
    videos = [faces(len(HELD), seed=seed) for seed in (1, 2)]
    states, expected = [restorer.new_state(), restorer.new_state()], []
    for frame, held in zip(zip(*videos, strict=True), HELD, strict=True):
        if held[1] == 0 and held[0]:
            states[1] = states[1].reset()
        restored, states = restorer.restore(frame, states)
        expected += restored
    real = RealFrames(restorer.bundle, OnnxRuntimeBackend(restorer.bundle, threads=1))
    chance = random.Random(3)
    for number in range(REAL_ORDERS):
        pictures = real.replay(some_order(real.steps, chance))
        for picture, right in zip(pictures, expected, strict=True):
            np.testing.assert_array_equal(picture, right, err_msg=f"order {number} of seed 3")


# A whole frame's upload waits for the download of two before, which all the rest is before.
@pytest.mark.parametrize(("name", "least"), [("faces", 8), ("video", 4)])
def test_waits_hold_between_frames_too(name: str, least: int) -> None:
    timeline = LISTS[name]
    frames = {step.node: step.frame for step in timeline.steps}
    across = [(a, b) for a, b in edges_of(timeline.steps) if frames[a] != frames[b]]
    assert len(across) >= least
