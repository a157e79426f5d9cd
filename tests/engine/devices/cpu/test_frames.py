"""The listed runtime against the plain one, bit for bit; what it holds in memory."""

from __future__ import annotations

import tracemalloc
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine import Restorer
from keeprt.engine.frame.pixels import normalise
from tests.engine.plain_runtime import PlainRuntime
from tests.networks import faces

WINDOW = 3
ABLATED = ("tiny_without_kalman", "tiny_without_cfa")
NETWORKS = ("tiny", *(pytest.param(name, marks=pytest.mark.slow) for name in ABLATED))


@pytest.fixture(params=NETWORKS)
def bundle(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param.replace("tiny", "tiny_bundle"))
    return path


def test_every_level_becomes_the_authors_float() -> None:
    levels = np.arange(256)
    authors = ((levels / 255).astype(np.float32) - np.float32(0.5)) / np.float32(0.5)
    out = np.empty((3, 16, 16), np.float32)
    normalise(np.stack([levels.reshape(16, 16).astype(np.uint8)] * 3, axis=-1), out)
    np.testing.assert_array_equal(out[1].ravel(), authors)


def same(pictures: list[Any], expected: list[Any]) -> None:
    assert len(pictures) == len(expected)
    for index, (picture, right) in enumerate(zip(pictures, expected, strict=True)):
        np.testing.assert_array_equal(picture, right, err_msg=f"picture {index}")


@pytest.mark.slow
@pytest.mark.parametrize("eager", [False, True])
def test_stream_gives_the_plain_runtime_s_pictures(bundle: Path, eager: bool) -> None:
    video = faces(6, seed=1)
    restorer = Restorer.load(bundle, threads=1, window=WINDOW, eager=eager)
    state, pasts, restored, expected = restorer.new_state(), [None], [], []
    plain = PlainRuntime(restorer.bundle)
    for picture in video:
        face, state = restorer.restore(picture, state)
        restored.append(face)
        pictures, pasts = plain.stream([picture], pasts, WINDOW)
        expected += pictures
    same(restored, expected)
    for name, array in state.arrays.items():
        assert np.array_equal(array, np.asarray(pasts[0][name])), name


@pytest.mark.slow
def test_two_faces_and_a_reset_give_the_plain_runtime_s_pictures(bundle: Path) -> None:
    videos = faces(7, seed=1), faces(7, seed=2)
    restorer = Restorer.load(bundle, threads=1, window=WINDOW, max_faces=2)
    states, pasts = [restorer.new_state(), restorer.new_state()], [None, None]
    plain = PlainRuntime(restorer.bundle)
    for index, frame in enumerate(zip(*videos, strict=True)):
        if index == 3:
            states[1], pasts[1] = states[1].reset(), None
        restored, states = restorer.restore(frame, states)
        expected, pasts = plain.stream(list(frame), pasts, WINDOW)
        same(restored, expected)


def test_the_face_with_the_shorter_past_may_come_first(tiny_bundle: Path) -> None:
    first, second = faces(4, seed=1), faces(4, seed=2)
    restorer = Restorer.load(tiny_bundle, threads=1, window=WINDOW, max_faces=2)
    old = [restorer.new_state(), restorer.new_state()]
    _, old = restorer.restore([first[0], second[0]], old)
    turned = [old[1].snapshot().reset(), old[0].snapshot()]
    straight = [old[0].snapshot(), old[1].snapshot().reset()]
    (a, b), _ = restorer.restore([second[1], first[1]], turned)
    (c, d), _ = restorer.restore([first[1], second[1]], straight)
    same([a, b], [d, c])


@pytest.mark.slow
@pytest.mark.parametrize("eager", [False, True])
def test_clip_gives_the_plain_runtime_s_pictures(bundle: Path, eager: bool) -> None:
    video = faces(5, seed=1)
    restorer = Restorer.load(bundle, mode="clip", threads=1, chunk=4, eager=eager)
    plain = PlainRuntime(restorer.bundle)
    expected = list(chain(plain.clip(video[:4]), plain.clip(video[4:])))
    same(list(restorer.restore_clip(video)), expected)


def test_an_eager_frame_can_be_looked_at_afterwards(tiny_bundle: Path) -> None:
    picture = faces(1)[0]
    shared, eager = (Restorer.load(tiny_bundle, threads=1, eager=eager) for eager in (False, True))
    eager.restore(picture, eager.new_state())
    plain = PlainRuntime(eager.bundle).observe([picture])
    for name, array in plain.items():
        assert np.array_equal(eager._frames.peek(name, 1), array), name
    assert shared._frames.device.memory.nbytes < eager._frames.device.memory.nbytes


def test_a_steady_frame_allocates_less_than_one_picture(tiny_bundle: Path) -> None:
    picture = faces(1)[0]
    restorer = Restorer.load(tiny_bundle, threads=1, window=WINDOW)
    state = restorer.new_state()
    for _ in range(WINDOW + 2):
        _, state = restorer.restore(picture, state)
    bound = dict(restorer._frames._lists)
    tracemalloc.start()
    try:
        for _ in range(20):
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            restored, state = restorer.restore(picture, state)
            _, peak = tracemalloc.get_traced_memory()
            # The picture given, its own 8-bit copy before, and the flow's cells in the warp's twin.
            assert peak - before < 3 * picture.nbytes
            del restored
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after < 20_000
    assert restorer._frames._lists == bound
