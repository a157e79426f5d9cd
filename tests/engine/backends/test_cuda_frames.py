"""The card's orchestration on a stand-in in host memory, and its clean refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine import Restorer
from keeprt.engine.backends.cuda_frames import CudaFrames
from keeprt.engine.backends.cuda_guest import check_version, join_card, join_stream, one_line
from keeprt.engine.errors import BackendError, StateError, UsageError
from keeprt.kernels.crop_align import crop_align
from keeprt.kernels.frame import FrameFormat
from keeprt.kernels.placement import place_face
from keeprt.kernels.wheels import check_driver

from ...networks import faces
from .card_in_host_memory import HostCard, HostEngines, OnCard

WINDOW = 3


def made(card: HostCard, restorer: Restorer, **options: Any) -> CudaFrames:
    engines = HostEngines(restorer.bundle, card)
    return CudaFrames(restorer.bundle, engines, window=WINDOW, **options)


def same(pictures: list[Any], expected: list[Any]) -> None:
    for picture, right in zip(pictures, expected, strict=True):
        np.testing.assert_array_equal(picture, right)


@pytest.mark.parametrize("eager", [False, True])
def test_frames_on_the_stand_in_are_the_restorer_s(
    card: HostCard, tiny_bundle: Path, eager: bool
) -> None:
    restorer = Restorer.load(tiny_bundle, threads=1, window=WINDOW, max_faces=2)
    frames = made(card, restorer, faces=2, eager=eager)
    states = [restorer.new_state(), restorer.new_state()]
    for index, pair in enumerate(zip(faces(9, seed=1), faces(9, seed=2), strict=True)):
        if index == 5:
            states[1] = states[1].reset()
        held = [state.seen for state in states]
        expected, states = restorer.restore(pair, states)
        same(frames.restore(held, (0, 1), pair), expected)
    assert (card.captures > 0) == (card.launches > 0) == (not eager)
    for slot, state in enumerate(states):
        found = frames.states.read(slot)
        assert all(np.array_equal(found[name], array) for name, array in state.arrays.items())


def test_a_state_goes_from_the_cpu_to_the_card_and_back(card: HostCard, tiny_bundle: Path) -> None:
    first, second, third = faces(3, seed=4)
    restorer = Restorer.load(tiny_bundle, threads=1, window=WINDOW)
    frames = made(card, restorer, faces=1)
    _, state = restorer.restore(first, restorer.new_state())
    frames.states.write(0, state.arrays)
    expected, state = restorer.restore(second, state)
    same(frames.restore([1], [0], [second]), [expected])
    for name, array in frames.states.read(0).items():
        state.arrays[name][:] = array
    same([restorer.restore(third, state)[0]], frames.restore([2], [0], [third]))
    with pytest.raises(StateError, match="slot 0 holds float32 arrays"):
        frames.states.write(0, {})


def test_two_frames_may_be_in_flight_and_no_more(card: HostCard, tiny_bundle: Path) -> None:
    restorer = Restorer.load(tiny_bundle, threads=1, window=WINDOW)
    frames = made(card, restorer, faces=1)
    video, state, expected = faces(6, seed=5), restorer.new_state(), []
    for picture in video:
        restored, state = restorer.restore(picture, state)
        expected.append(restored)
    frames.submit([0], [0], video[:1])
    results = []
    for index, picture in enumerate(video[1:], start=1):
        frames.submit([min(index, WINDOW)], [0], [picture])
        with pytest.raises(UsageError, match="in flight"):
            frames.submit([WINDOW], [0], [picture])
        results += frames.collect()
    same([*results, *frames.collect()], expected)
    with pytest.raises(UsageError, match="no frame is in flight"):
        frames.collect()


@pytest.mark.parametrize("bound", [False, True])
def test_pictures_on_the_card_are_taken_where_they_are(
    card: HostCard, tiny_bundle: Path, bound: bool
) -> None:
    restorer = Restorer.load(tiny_bundle, threads=1, window=WINDOW)
    frames = made(card, restorer, faces=1)
    video, state = faces(4, seed=8), restorer.new_state()
    array = OnCard(video[0])
    if bound:
        frames.bind_face(0, array)
    for index, picture in enumerate(video):
        array.picture[:] = picture
        expected, state = restorer.restore(picture, state)
        same(frames.restore([min(index, WINDOW)], [0], [array]), [expected])
    if bound:
        with pytest.raises(UsageError, match="face 0 was bound to"):
            frames.submit([WINDOW], [0], [OnCard(video[0])])
        with pytest.raises(UsageError, match="cannot be bound"):
            frames.bind_face(0, array)


def test_steady_frames_are_three_launches_and_take_no_memory(
    card: HostCard, tiny_bundle: Path
) -> None:
    restorer = Restorer.load(tiny_bundle, threads=1, window=WINDOW)
    frames = made(card, restorer, faces=1)
    for index, picture in enumerate(faces(10, seed=6)):
        frames.restore([min(index, WINDOW)], [0], [picture])
    before = card.launches, card.submitted, card.allocations
    for picture in faces(4, seed=7):
        frames.restore([WINDOW], [0], [picture])
    # Outside the graphs there is one copy of the picture in.
    assert (card.launches, card.submitted, card.allocations) == (
        before[0] + 12,
        before[1] + 4,
        before[2],
    )


def test_crop_by_an_identity_is_the_conversion_within_rounding() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    whole = place_face(np.eye(2, 3), 16, 16, 16)
    format = FrameFormat("rgb24", 16, 16)
    (crop,) = crop_align([picture.reshape(16, 48)], format, np.atleast_1d(whole), 16)
    exact = picture.transpose(2, 0, 1) / 255 * 2 - 1
    np.testing.assert_allclose(crop, exact, rtol=0, atol=3e-7)


def test_without_a_driver_one_line_says_so(tiny_bundle: Path) -> None:
    try:
        check_driver()
    except BackendError:
        pass
    else:
        pytest.skip("this machine has a driver")
    bundle = Restorer.load(tiny_bundle, threads=1).bundle
    with pytest.raises(BackendError, match="driver") as caught:
        CudaFrames(bundle, HostEngines(bundle, HostCard()), faces=1, window=WINDOW)
    assert "\n" not in str(caught.value)
    with pytest.raises(BackendError, match="driver"):
        join_card()


def test_an_old_driver_is_named_with_both_versions() -> None:
    check_version((13, 0))
    check_version((14, 1))
    with pytest.raises(BackendError, match=r"too old: it runs CUDA 12\.8, keeprt needs 13\.0"):
        check_version((12, 8))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("CUDA_ERROR_OUT_OF_MEMORY: The API call failed", "too little free memory"),
        ("CUDA_ERROR_ILLEGAL_ADDRESS: While executing a kernel", "outside its memory"),
        ("something\nelse", "something"),
    ],
)
def test_the_libraries_errors_become_one_line(message: str, said: str) -> None:
    with pytest.raises(BackendError, match=said) as caught, one_line("12 MB are not to be had"):
        raise RuntimeError(message)
    assert "\n" not in str(caught.value) and "12 MB" in str(caught.value)


def test_only_streams_are_taken_for_streams() -> None:
    with pytest.raises(BackendError, match="str is no CUDA stream"):
        join_stream(HostCard(), "stream")  # type: ignore[arg-type]
