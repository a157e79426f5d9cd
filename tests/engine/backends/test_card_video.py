"""Whole frames on the stand-in card: the CPU list's bytes, and no transfer but the frame's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine import load_bundle
from keeprt.engine.backends.cuda_video import CardVideo
from keeprt.engine.errors import StateError, UsageError
from keeprt.engine.state import FaceState
from keeprt.engine.video_restorer import VideoRestorer
from keeprt.kernels.frame import FrameFormat

from ...video_frames import moving_faces, video
from .card_in_host_memory import HostCard, HostEngines, OnCard

WINDOW = 3
FORMATS = [FrameFormat(name, 192, 144) for name in ("nv12", "yuv420p10le", "rgb24")]


@pytest.fixture(params=FORMATS, ids=lambda format: format.pixel_format)
def pair(
    request: pytest.FixtureRequest, card: HostCard, tiny_bundle: Path
) -> tuple[VideoRestorer, VideoRestorer]:
    """The same restorer on the stand-in card and on the CPU."""
    bundle, options = load_bundle(tiny_bundle), {"window": WINDOW, "max_faces": 2}
    on_card = VideoRestorer(bundle, HostEngines(bundle, card), request.param, **options)
    cpu = VideoRestorer.load(tiny_bundle, request.param, threads=1, **options)
    return on_card, cpu


@pytest.fixture
def on_card(card: HostCard, tiny_bundle: Path) -> VideoRestorer:
    bundle = load_bundle(tiny_bundle)
    return VideoRestorer(bundle, HostEngines(bundle, card), FORMATS[0], window=WINDOW)


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
    card: HostCard, on_card: VideoRestorer
) -> None:
    frames = video(on_card.format, 12)
    run(on_card, frames[:1])
    state = on_card.new_state()
    (affine, *_) = moving_faces(on_card, 0)
    for frame in frames[:8]:
        _, (state,) = on_card.restore(frame, [(affine, state)])
    before = card.launches, card.submitted, card.allocations
    card.copied.clear()
    for frame in frames[8:]:
        _, (state,) = on_card.restore(frame, [(affine, state)])
    # Three graphs; upload is the frame and its placements, download the frame and the codes.
    counts = card.launches, card.submitted, card.allocations
    assert counts == (before[0] + 12, before[1] + 16, before[2])
    large = [size for size in card.copied if size == frames[0].nbytes]
    assert len(large) == 8


def test_a_frame_on_the_card_is_restored_where_it_is(
    card: HostCard, on_card: VideoRestorer, tiny_bundle: Path
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


def test_two_frames_may_be_in_flight(card: HostCard, on_card: VideoRestorer) -> None:
    from keeprt.engine.video_graph import placement_bytes

    frames, expected = video(on_card.format, 6), []
    expected = run(on_card, frames)
    inside: Any = on_card._frames
    assert isinstance(inside, CardVideo)
    found = []
    for index, frame in enumerate(frames):
        placements = on_card._placement(moving_faces(on_card, index)[0])[None]
        assert placement_bytes(placements).shape == (1, 72)
        inside.submit([min(index, WINDOW)], [0], frame, placements)
        if index:
            found.append(inside.collect())
    same([*found, inside.collect()], expected)


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
