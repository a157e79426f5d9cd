"""What a restorer takes and refuses, whose the pictures are, and what it holds."""

from __future__ import annotations

import tracemalloc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine import FaceState, Restorer
from keeprt.engine.errors import BackendError, StateError, UsageError
from tests.engine.restorer_runs import FRAMES, WINDOW, pictures_of
from tests.networks import faces


@pytest.fixture(scope="module")
def clip() -> list[np.ndarray]:
    return faces(FRAMES)


@pytest.fixture(scope="module")
def restorer(tiny_bundle: Path) -> Restorer:
    return Restorer.load(tiny_bundle, threads=1, window=WINDOW, max_faces=3, eager=True)


def test_the_face_given_and_the_face_returned_are_the_callers(
    restorer: Restorer, clip: list[np.ndarray]
) -> None:
    given = clip[0].copy()
    first, state = restorer.restore(given, restorer.new_state())
    kept = first.copy()
    restorer.restore(clip[1], state)
    assert np.array_equal(given, clip[0])
    assert np.array_equal(first, kept)
    assert first.dtype == np.uint8
    assert first.flags.c_contiguous


def test_a_face_may_be_any_view(restorer: Restorer, clip: list[np.ndarray]) -> None:
    large = np.zeros((200, 200, 3), np.uint8)
    large[20:148, 30:158] = clip[0][..., ::-1]
    view = large[20:148, 30:158, ::-1]
    view.flags.writeable = False
    expected = pictures_of(restorer, clip[:1])[0]
    assert np.array_equal(restorer.restore(view, restorer.new_state())[0], expected)


# Misuse


def test_a_spent_state_is_refused(restorer: Restorer, clip: list[np.ndarray]) -> None:
    state = restorer.new_state()
    restorer.restore(clip[0], state)
    with pytest.raises(StateError, match="already advanced"):
        restorer.restore(clip[1], state)


def test_a_refused_call_spends_nothing(restorer: Restorer, clip: list[np.ndarray]) -> None:
    states = [restorer.new_state(), restorer.new_state()]
    with pytest.raises(UsageError, match="a face must be"):
        restorer.restore([clip[0], clip[0][:64]], states)
    restorer.restore([clip[0], clip[1]], states)


@pytest.mark.slow
def test_foreign_states_are_refused(
    restorer: Restorer, tiny_bundle_without_kalman: Path, tiny_bundle: Path, clip: list[np.ndarray]
) -> None:
    network = Restorer.load(tiny_bundle_without_kalman, threads=1, window=WINDOW)
    window = Restorer.load(tiny_bundle, threads=1, window=WINDOW + 1)
    for other in (network, window):
        with pytest.raises(StateError, match="another network, or"):
            restorer.restore(clip[0], other.new_state())


def test_one_state_for_two_faces_is_refused(restorer: Restorer, clip: list[np.ndarray]) -> None:
    state = restorer.new_state()
    with pytest.raises(StateError, match="share one state"):
        restorer.restore([clip[0], clip[1]], [state, state])


@pytest.mark.parametrize(("count", "states"), [(0, 0), (1, 0), (1, 2), (2, 1), (4, 4)])
def test_wrong_counts_are_refused(
    restorer: Restorer, clip: list[np.ndarray], count: int, states: int
) -> None:
    with pytest.raises(UsageError, match="faces"):
        restorer.restore(clip[:count], [restorer.new_state() for _ in range(states)])


@pytest.mark.parametrize(
    "face",
    [
        np.zeros((64, 64, 3), np.uint8),
        np.zeros((128, 128, 4), np.uint8),
        np.zeros((3, 128, 128), np.uint8),
        np.zeros((128, 128, 3), np.float32),
        "face.png",
        None,
    ],
    ids=["size", "alpha", "planar", "float", "path", "none"],
)
def test_what_is_no_face_is_refused(restorer: Restorer, face: Any) -> None:
    state = restorer.new_state()
    with pytest.raises(UsageError, match="a face must be"):
        restorer.restore(face, state)
    state.check_usable()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"mode": "batch"}, UsageError, "unknown mode 'batch'"),
        ({"window": 1}, UsageError, "window"),
        ({"max_faces": 0}, UsageError, "max_faces"),
        ({"mode": "clip", "chunk": 0}, UsageError, "chunk"),
        ({"backend": "tflite"}, BackendError, "unknown backend 'tflite'"),
        ({"provider": "tpu"}, UsageError, "unknown provider 'tpu'"),
    ],
)
def test_options_that_cannot_be_honoured(
    tiny_bundle: Path, options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        Restorer.load(tiny_bundle, threads=1, **options)


def test_the_modes_are_not_mixed_up(restorer: Restorer, clip: list[np.ndarray]) -> None:
    with pytest.raises(UsageError, match=r"use restore\(\)"):
        next(restorer.restore_clip(clip))


# Memory


def addresses(restorer: Restorer, state: FaceState) -> dict[str, int]:
    arena = {"arena": restorer._frames.device.memory.ctypes.data}
    return arena | {f"state {n}": a.ctypes.data for n, a in state.arrays.items()}


def test_nothing_large_is_allocated_per_frame(tiny_bundle: Path) -> None:
    """The 8-bit face that is returned, and small change."""
    restorer = Restorer.load(tiny_bundle, threads=1, window=WINDOW)
    pictures = faces(11)
    state = restorer.new_state()
    before: dict[str, int] = {}
    steady = WINDOW + 1  # until then every frame is of a new kind, whose list is bound once
    peaks, held = [], []
    for index, picture in enumerate(pictures):
        if index == steady:
            before = addresses(restorer, state)
            tracemalloc.start()
        if index >= steady:
            tracemalloc.reset_peak()
            start, _ = tracemalloc.get_traced_memory()
        _, state = restorer.restore(picture, state)
        if index >= steady:
            held.append(tracemalloc.get_traced_memory()[0])
            peaks.append(tracemalloc.get_traced_memory()[1] - start)
    tracemalloc.stop()
    assert max(peaks) < 2 * pictures[0].nbytes, peaks
    # Python's free lists fill up over some hundred frames; one latent kept per frame is 130 kB.
    assert held[-1] - held[0] < pictures[0].nbytes, held
    assert addresses(restorer, state) == before


def test_stages_are_timed(restorer: Restorer, clip: list[np.ndarray]) -> None:
    restorer.stage_seconds.clear()
    pictures_of(restorer, clip[:2])
    expected = {"lq_encoder", "flow_features", "flow_matching", "warp", "hq_encoder", "gain_net"}
    assert set(restorer.stage_seconds) == expected | {"decoder"}
    assert all(seconds > 0 for seconds in restorer.stage_seconds.values())


@pytest.mark.parametrize("mode", ["stream", "clip"])
def test_a_closed_restorer_holds_nothing_and_says_so(
    tiny_bundle: Path, clip: list[np.ndarray], mode: Any
) -> None:
    with Restorer.load(tiny_bundle, mode=mode, threads=1, window=WINDOW, chunk=2) as restorer:
        state = restorer.new_state()
        if mode == "stream":
            _, state = restorer.restore(clip[0], state)
        else:
            list(restorer.restore_clip(clip[:2]))
        held = [weakref.ref(restorer._frames), weakref.ref(restorer._frames.device.memory.base)]
        held += [weakref.ref(restorer._frames.device._backend)]
    assert [one() for one in held] == [None, None, None]
    restorer.close()
    with pytest.raises(UsageError, match="was closed"):
        restorer.restore(clip[1], state) if mode == "stream" else list(restorer.restore_clip(clip))
    with pytest.raises(UsageError, match="was closed"):
        restorer.new_state()
    if mode == "stream":  # the state is the caller's
        other = Restorer.load(tiny_bundle, threads=1, window=WINDOW)
        assert other.restore(clip[1], state)[1].frames == 2
