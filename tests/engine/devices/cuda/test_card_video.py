"""Whole frames on the driver in host memory: the CPU's bytes, no transfer but the frame's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine import load_bundle
from keeprt.engine.errors import StateError, UsageError
from keeprt.engine.state import FaceState
from keeprt.engine.video_restorer import VideoRestorer
from keeprt.kernels.frame import FrameFormat
from tests.cuda_driver.engines import HostEngines
from tests.cuda_driver.session import ON_DRIVER
from tests.engine.devices.cuda.conftest import Card, OnCard
from tests.video_frames import moving_faces, video

WINDOW = 3

pytestmark = ON_DRIVER
FORMATS = [FrameFormat(name, 192, 144) for name in ("nv12", "yuv420p10le", "rgb24")]


@pytest.fixture(params=FORMATS, ids=lambda format: format.pixel_format)
def pair(
    request: pytest.FixtureRequest, card: Card, tiny_bundle: Path
) -> tuple[VideoRestorer, VideoRestorer]:
    """The same restorer on the card and on the CPU."""
    bundle, options = load_bundle(tiny_bundle), {"window": WINDOW, "max_faces": 2}
    on_card = VideoRestorer(bundle, HostEngines(bundle), request.param, **options)
    cpu = VideoRestorer.load(tiny_bundle, request.param, threads=1, **options)
    return on_card, cpu


@pytest.fixture
def on_card(card: Card, tiny_bundle: Path) -> VideoRestorer:
    bundle = load_bundle(tiny_bundle)
    return VideoRestorer(bundle, HostEngines(bundle), FORMATS[0], window=WINDOW)


def run(restorer: VideoRestorer, frames: list[Any], faces: int = 1) -> list[Any]:
    states, restored = [restorer.new_state() for _ in range(faces)], []
    for index, frame in enumerate(frames):
        if index == 4 and faces == 2:
            states[0] = states[0].reset()
        maps = moving_faces(restorer, index)[:faces]
        done, states = restorer.restore(frame, list(zip(maps, states, strict=True)))
        restored.append(done)
    return restored


def same(found: list[Any], expected: list[Any]) -> None:
    for frame, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(frame, right)


def test_two_faces_with_a_reset_are_the_cpu_s(pair: tuple[VideoRestorer, VideoRestorer]) -> None:
    on_card, cpu = pair
    frames = video(cpu.format, 7)
    found = run(on_card, frames, faces=2)
    same(found, run(cpu, frames, faces=2))
    assert all((new != old).any() for new, old in zip(found, frames, strict=True))


def test_a_steady_frame_is_copied_in_and_out_and_takes_no_memory(
    card: Card, on_card: VideoRestorer
) -> None:
    frames = video(on_card.format, 12)
    run(on_card, frames[:1])
    state = on_card.new_state()
    (affine, *_) = moving_faces(on_card, 0)
    for frame in frames[:8]:
        _, (state,) = on_card.restore(frame, [(affine, state)])
    copies = card.count("cuMemcpyAsync")
    before = card.launches, card.captures, card.allocations
    for frame in frames[8:]:
        _, (state,) = on_card.restore(frame, [(affine, state)])
    subgraphs = len(on_card.bundle.subgraphs)
    counts = card.launches, card.captures, card.allocations
    assert counts == (before[0] + 4 * subgraphs, *before[1:])
    per_frame, rest = divmod(card.count("cuMemcpyAsync") - copies, 4)
    # The frame and its placements in; frame, codes and margins out; the rest is the face's state.
    assert rest == 0 and per_frame < 30


def test_a_frame_on_the_card_is_restored_where_it_is(
    card: Card, on_card: VideoRestorer, tiny_bundle: Path
) -> None:
    frames = video(on_card.format, 5)
    cpu = VideoRestorer.load(tiny_bundle, on_card.format, threads=1, window=WINDOW)
    expected = run(cpu, frames)
    before = [array.copy() for _, array in on_card._frames._device.pinned]  # type: ignore[attr-defined]
    given = [OnCard(frame) for frame in frames]
    returned = run(on_card, given)
    same([frame.picture for frame in given], expected)
    assert all(a is b for a, b in zip(returned, given, strict=True))
    after = [array for _, array in on_card._frames._device.pinned]  # type: ignore[attr-defined]
    same(after, before)


def test_two_frames_may_be_in_flight(on_card: VideoRestorer, tiny_bundle: Path) -> None:
    """With a frame that has no faces between them, on the card and on the host."""
    cpu = VideoRestorer.load(tiny_bundle, on_card.format, threads=1, window=WINDOW)
    frames = video(on_card.format, 6)
    on_card.warm_up()
    results = []
    for restorer in (on_card, cpu):
        states, found = [restorer.new_state()], []
        for index, frame in enumerate(frames):
            maps = [] if index == 3 else moving_faces(restorer, index)[:1]
            after = restorer.submit(frame, list(zip(maps, states, strict=False)))
            states = after or states
            if index:
                found.append(restorer.collect())
        results.append([*found, restorer.collect()])
    same(*results)
    np.testing.assert_array_equal(results[0][3], frames[3])


def test_what_cannot_be_restored_is_refused(on_card: VideoRestorer, tiny_bundle: Path) -> None:
    frame, (affine, second) = video(on_card.format, 1)[0], moving_faces(on_card, 0)
    state = on_card.new_state()
    for wrong in (frame[1:], frame.reshape(2, -1), OnCard(frame[1:]), [1]):
        with pytest.raises(UsageError, match="frame"):
            on_card.restore(wrong, [(affine, state)])
    with pytest.raises(UsageError, match="max_faces=1"):
        on_card.restore(frame, [(affine, state), (second, on_card.new_state())])
    with pytest.raises(UsageError, match="tight rows"):
        VideoRestorer.load(tiny_bundle, FrameFormat("nv12", 64, 48, pitches=(64, 64)))
    same([on_card.restore(frame, [])[0]], [frame])
    _, states = on_card.restore(frame, [(affine, state)])
    with pytest.raises(StateError, match="already advanced"):
        on_card.restore(frame, [(affine, state)])
    assert isinstance(states[0], FaceState) and states[0].frames == 1
