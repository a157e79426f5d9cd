"""Frames of faces on the card, run on the driver in host memory with delays at random."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from keeprt.engine import FaceState, Restorer, load_bundle
from keeprt.engine.devices.cuda.guest import CardLostError
from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.opening import DeviceChoice
from tests.cuda_driver.engines import HostEngines
from tests.cuda_driver.session import ON_DRIVER
from tests.engine.devices.cuda.conftest import Card, OnCard
from tests.networks import faces

pytestmark = ON_DRIVER

WINDOW = 3
ILLEGAL_ADDRESS = 700


@pytest.fixture(scope="module")
def cpu(tiny_bundle: Path) -> Restorer:
    return Restorer.load(tiny_bundle, threads=1, window=WINDOW, max_faces=4)


class Made:
    """A restorer on the card and what runs its subgraphs."""

    def __init__(self, path: Path, faces: int = 2, card: int = 0, **options: Any) -> None:
        bundle = load_bundle(path)
        self.engines = HostEngines(bundle)
        choice = DeviceChoice(card, options.pop("stream", None))
        self.restorer = Restorer(
            bundle, self.engines, window=WINDOW, max_faces=faces, choice=choice, **options
        )
        self.frames: Any = self.restorer._frames

    def check(self) -> None:
        assert self.engines.errors == []


@pytest.fixture
def made(card: Card, tiny_bundle: Path) -> Iterator[Made]:
    made = Made(tiny_bundle)
    yield made
    made.check()
    made.frames.close()


def run(restorer: Restorer, videos: list[list[Any]], reset_at: int = 5) -> list[Any]:
    """Each frame's pictures; the first face begins anew once."""
    states, restored = [restorer.new_state() for _ in videos], []
    for index, pair in enumerate(zip(*videos, strict=True)):
        if index == reset_at:
            states[0] = states[0].reset()
        pictures, states = restorer.restore(pair, states)
        restored += pictures
    return restored


def flown(restorer: Restorer, videos: list[list[Any]], reset_at: int = 5) -> list[Any]:
    """The same with two frames in flight."""
    states, restored = [restorer.new_state() for _ in videos], []
    for index, pair in enumerate(zip(*videos, strict=True)):
        if index == reset_at:
            states[0] = states[0].reset()
        states = restorer.submit(pair, states)
        if index:
            restored += restorer.collect()
    return [*restored, *restorer.collect()]


def same(pictures: list[Any], expected: list[Any]) -> None:
    for picture, right in zip(pictures, expected, strict=True):
        np.testing.assert_array_equal(picture, right)


@pytest.mark.parametrize("way", [run, flown])
@pytest.mark.parametrize("eager", [False, True])
def test_frames_are_those_of_the_cpu(
    card: Card, tiny_bundle: Path, cpu: Restorer, eager: bool, way: Any
) -> None:
    """Waits, records and what is waited for before results are read: any of them left out shows."""
    made, videos = Made(tiny_bundle, eager=eager), [faces(9, seed=1), faces(9, seed=2)]
    same(way(made.restorer, videos), run(cpu, videos))
    made.check()
    assert (card.captures > 0) == (card.launches > 0) == (not eager)


@pytest.mark.parametrize("eager", [False, True])
def test_operations_are_named_where_nvtx_is_asked_for(
    card: Card, tiny_bundle: Path, cpu: Restorer, monkeypatch: pytest.MonkeyPatch, eager: bool
) -> None:
    depth, names, deepest = 0, [], 0

    def push(name: str, domain: str) -> None:
        nonlocal depth, deepest
        assert domain == "keeprt"
        depth, deepest = depth + 1, max(deepest, depth + 1)
        names.append(name)

    def pop(domain: str) -> None:
        nonlocal depth
        depth -= 1

    stand_in = SimpleNamespace(push_range=push, pop_range=pop)
    monkeypatch.setitem(sys.modules, "nvtx", stand_in)
    videos = [faces(4, seed=13)]
    silent = Made(tiny_bundle, eager=eager)
    expected = run(silent.restorer, videos, reset_at=9)
    assert names == []
    monkeypatch.setenv("KEEPRT_NVTX", "1")
    named = Made(tiny_bundle, eager=eager)
    same(run(named.restorer, videos, reset_at=9), expected)
    written = [op.name for held in (0, 1, 2, 3) for op in named.frames._graph.stream([held])]
    assert sorted(names) == sorted(written) and depth == 0 and deepest == 1
    failing = Made(tiny_bundle, eager=eager)
    failing.engines.fails = "decoder"
    with pytest.raises(BackendError, match="decoder refused"):
        failing.restorer.restore(videos[0][0], failing.restorer.new_state())
    assert depth == 0, "a range is left open after an error"
    monkeypatch.setitem(sys.modules, "nvtx", None)
    with pytest.raises(BackendError, match="KEEPRT_NVTX=1 needs the package nvtx"):
        Made(tiny_bundle)


def test_two_frames_may_be_in_flight_and_no_more(made: Made, cpu: Restorer) -> None:
    for restorer in (made.restorer, cpu):
        states = [restorer.new_state()]
        for picture in faces(2):
            states = restorer.submit([picture], states)
        assert restorer.in_flight == 2
        with pytest.raises(UsageError, match="2 frames are in flight"):
            restorer.submit(faces(1), states)
        with pytest.raises(UsageError, match="before restore"):
            restorer.restore(faces(1), states)
        assert len(restorer.collect()) == len(restorer.collect()) == 1
        with pytest.raises(UsageError, match="no frame is in flight"):
            restorer.collect()


def test_after_the_warm_up_nothing_is_bound_captured_or_allocated(
    card: Card, made: Made, cpu: Restorer
) -> None:
    assert made.restorer.warm_up() > 0 and made.restorer.warm_up_seconds > 0
    keys = made.engines.keys
    assert len(set(keys)) == len(keys) == len(made.frames.runs) == card.captures
    assert made.engines.warm
    before = card.captures, len(keys), card.allocations
    videos = [faces(9, seed=1), faces(9, seed=2)]
    made.frames.states.new(made.restorer.bundle, WINDOW)
    same(flown(made.restorer, videos), run(cpu, videos))
    # A constant for another mixture of rows is all that may still be put on the card.
    assert (card.captures, len(keys)) == before[:2]
    assert card.count("event that blocks") > 0 and card.count("cuGraphUpload") == card.captures


def test_steady_frames_take_no_memory_and_replay_every_subgraph(card: Card, made: Made) -> None:
    picture, states = faces(1)[0], [made.restorer.new_state()]
    for _ in range(10):
        _, states = made.restorer.restore([picture], states)
    before = card.launches, card.allocations, card.captures
    for _ in range(4):
        _, states = made.restorer.restore([picture], states)
    subgraphs = len(made.restorer.bundle.subgraphs)
    after = card.launches, card.allocations, card.captures
    assert after == (before[0] + 4 * subgraphs, before[1], before[2])


def test_runs_that_are_kept_are_bounded_and_the_oldest_goes(
    made: Made, cpu: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keeprt.engine.devices.cuda import runs

    monkeypatch.setattr(runs, "KEPT_RUNS", 14)
    videos = [faces(12, seed=1), faces(12, seed=2)]
    same(run(made.restorer, videos), run(cpu, videos))
    assert len(made.frames.runs) == 14


def current() -> int:
    from cuda.bindings import driver

    _, context = driver.cuCtxGetCurrent()
    return int(context)


def test_any_thread_may_restore_and_keeps_its_own_context(made: Made, cpu: Restorer) -> None:
    videos, found, contexts = [faces(5, seed=3)], [], []
    expected = run(cpu, videos)

    def work() -> None:
        found.extend(run(made.restorer, videos))
        state = made.restorer.new_state()
        _, state = made.restorer.restore(videos[0][0], state)
        state.snapshot()
        made.frames.synchronise()
        contexts.append(current())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    same(found, expected)
    assert contexts == [0]


def test_cards_in_one_thread_do_not_disturb_each_other(
    card: Card, tiny_bundle: Path, cpu: Restorer
) -> None:
    from cuda.bindings import driver

    if int(driver.cuDeviceGetCount()[1]) < 2:
        pytest.skip("one card")
    videos, before = [faces(5, seed=4)], current()
    both = [Made(tiny_bundle, card=number) for number in range(2)]
    assert current() == before
    expected = run(cpu, videos)
    states = [made.restorer.new_state() for made in both]
    for index, picture in enumerate(videos[0][:5]):
        if index == 5:
            break
        for number, made in enumerate(both):
            restored, states[number] = made.restorer.restore(picture, states[number])
            same([restored], [expected[index]])
    assert current() == before
    moved, _ = both[1].restorer.restore(videos[0][0], states[0].snapshot())
    assert moved.shape == videos[0][0].shape
    with pytest.raises(UsageError, match="lies on GPU 1, the restorer works on GPU 0"):
        both[0].restorer.restore(OnCard(videos[0][0], device=1), both[0].restorer.new_state())


def test_a_picture_is_read_when_its_producer_is_done(card: Card, made: Made, cpu: Restorer) -> None:
    (picture,) = faces(1)
    expected, _ = cpu.restore(picture, cpu.new_state())
    given = OnCard(picture, busy_s=0.5)
    given._interface = {"stream": int(given.stream.handle)}
    restored, _ = made.restorer.restore(given, made.restorer.new_state())
    same([restored], [expected])


def test_a_state_is_read_when_its_frame_is_done(card: Card, made: Made, cpu: Restorer) -> None:
    """What `submit` gives may be copied before the frame is collected."""
    video, after = faces(4, seed=9), []
    for restorer in (made.restorer, cpu):
        _, state = restorer.restore(video[0], restorer.new_state())
        with card.slowly():
            (state,) = restorer.submit([video[1]], [state])
            after.append(state.snapshot())
        restorer.collect()
    assert [state.frames for state in after] == [2, 2]
    for name, right in after[1].arrays.items():
        np.testing.assert_array_equal(after[0].arrays[name], right, err_msg=name)


def test_a_graph_is_dropped_when_it_does_not_replay(
    card: Card, made: Made, cpu: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver tells of one that is dropped too early."""
    from keeprt.engine.devices.cuda import runs

    video, after = faces(9, seed=10), []
    for restorer in (made.restorer, cpu):
        states, found = [restorer.new_state()], []
        _, late = restorer.restore(video[8], restorer.new_state())  # a new one would be waited for
        for picture in video[:7]:
            pictures, states = restorer.restore([picture], states)
            found += pictures
        with card.slowly(), monkeypatch.context() as few:
            states = restorer.submit(video[7:8], states)
            few.setattr(runs, "KEPT_RUNS", 1)
            restorer.submit(video[7:9], [*states, late])
            after.append([*found, *restorer.collect(), *restorer.collect()])
    same(*after)
    assert card.launches > 0 and len(made.frames.runs) == 1


def test_an_error_inside_a_capture_ends_the_capture(made: Made, cpu: Restorer) -> None:
    video, state, right = faces(8, seed=6), made.restorer.new_state(), cpu.new_state()
    _, state = made.restorer.restore(video[0], state)
    made.engines.fails = "decoder"
    for picture in video[1:3]:
        with pytest.raises(BackendError, match="decoder refused"):
            made.restorer.restore(picture, state)
        made.frames.synchronise()
    made.engines.fails = ""
    same(run(made.restorer, [video]), run(cpu, [video]))
    assert right.frames == 0


def test_a_face_that_comes_to_nothing_begins_anew(made: Made, cpu: Restorer) -> None:
    for restorer in (made.restorer, cpu):
        video = faces(4, seed=7)
        _, state = restorer.restore(video[0], restorer.new_state())
        damaged = {name: array.copy() for name, array in state.arrays.items()}
        damaged["restored"][:] = np.nan
        state = FaceState(state.network, state.window, state.frames, damaged)
        before = restorer.broken_frames
        restored, state = restorer.restore(video[1], state)
        assert state.frames == 0 and restorer.broken_frames == before + 1
        np.testing.assert_array_equal(restored, video[1])
        restored, _ = restorer.restore(video[2], state)
        fresh, _ = restorer.restore(video[2], restorer.new_state())
        same([restored], [fresh])


def test_with_two_in_flight_the_frame_after_it_does_not_hand_it_on(
    made: Made, cpu: Restorer
) -> None:
    """The next frame has gone on from the state before it is known to be no number."""
    video, found = faces(8, seed=11), []
    for restorer in (made.restorer, cpu):
        _, state = restorer.restore(video[0], restorer.new_state())
        damaged = {name: array.copy() for name, array in state.arrays.items()}
        damaged["restored"][:] = np.nan
        states = [FaceState(state.network, state.window, state.frames, damaged)]
        before, restored = restorer.broken_frames, []
        for index, picture in enumerate(video[1:]):
            states = restorer.submit([picture], states)
            if index:
                restored += restorer.collect()
        restored += restorer.collect()
        assert restorer.broken_frames == before + 2 and states[0].frames == 5
        same(restored[:2], video[1:3])
        same(restored[2:], run(cpu, [video[3:]], reset_at=9))
        found.append(restored)
    same(*found)


def test_after_a_sticky_error_the_process_is_told_to_restart(card: Card, tiny_bundle: Path) -> None:
    made = Made(tiny_bundle, faces=1)
    states = [made.restorer.restore(faces(1)[0], made.restorer.new_state())[1] for _ in range(3)]
    card.fail_at(5, ILLEGAL_ADDRESS)
    with pytest.raises(CardLostError, match="restart the process"):
        for _ in range(3):
            _, states[2] = made.restorer.restore(faces(1)[0], states[2])
    with pytest.raises(CardLostError, match="states on it"):
        states[1].snapshot()
    assert states[0].snapshot().frames == 1  # there were two slots: this one was on the host


def test_close_gives_everything_back_and_moves_states_to_the_host(
    card: Card, tiny_bundle: Path, cpu: Restorer
) -> None:
    video, expected = faces(6, seed=8), run(cpu, [faces(6, seed=8)])
    Made(tiny_bundle).frames.close()  # kernels stay loaded
    before = card.live_bytes
    for _ in range(2):
        made = Made(tiny_bundle)
        made.restorer.warm_up()
        state = made.restorer.new_state()
        for picture in video[:3]:
            _, state = made.restorer.restore(picture, state)
        made.frames.close()
        made.frames.close()
        assert card.live_bytes == before and made.engines.closed
        with pytest.raises(UsageError, match="is closed"):
            made.restorer.restore(video[3], state)
    restored = []
    for picture in video[3:5]:
        picture, state = cpu.restore(picture, state)
        restored.append(picture)
    same(restored, expected[3:5])
