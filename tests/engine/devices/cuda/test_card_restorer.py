"""`Restorer` on the card, run on the driver in host memory: one API, states between devices."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine import Restorer, load_bundle
from keeprt.engine.devices.cuda.states import SLOTS_PER_FACE, SlotArrays
from keeprt.engine.errors import BackendError, StateError, UsageError
from keeprt.engine.libraries.onnxruntime.on_card import OnnxRuntimeEngines
from keeprt.engine.state import FaceState
from tests.cuda_driver.engines import HostEngines
from tests.cuda_driver.session import ON_DRIVER
from tests.engine.devices.cuda.conftest import Card
from tests.networks import faces

WINDOW = 3

pytestmark = ON_DRIVER


@pytest.fixture(scope="module")
def cpu(tiny_bundle: Path) -> Restorer:
    return Restorer.load(tiny_bundle, threads=1, window=WINDOW, max_faces=2)


@pytest.fixture
def on_card(card: Card, tiny_bundle: Path) -> Restorer:
    bundle = load_bundle(tiny_bundle)
    return Restorer(bundle, HostEngines(bundle), window=WINDOW, max_faces=2)


def run(restorer: Restorer, video: list[Any], state: FaceState) -> tuple[list[Any], FaceState]:
    pictures = []
    for picture in video:
        restored, state = restorer.restore(picture, state)
        pictures.append(restored)
    return pictures, state


def same(found: list[Any], expected: list[Any]) -> None:
    for picture, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(picture, right)


def same_state(a: FaceState, b: FaceState) -> None:
    assert (a.network, a.window, a.frames) == (b.network, b.window, b.frames)
    assert sorted(a.arrays) == sorted(b.arrays)
    for name in a.arrays:
        np.testing.assert_array_equal(a.arrays[name], b.arrays[name], err_msg=name)


def test_faces_come_and_go_in_batches_as_on_the_cpu(cpu: Restorer, on_card: Restorer) -> None:
    videos = faces(8, seed=1), faces(8, seed=2)
    found, expected = ([r.new_state(), r.new_state()] for r in (on_card, cpu))
    for index, pair in enumerate(zip(*videos, strict=True)):
        if index == 4:
            found[0], expected[0] = found[0].reset(), expected[0].reset()
        rows = [1] if index in (2, 3) else [1, 0] if index == 6 else [0, 1]
        last: list[Any] = []
        for restorer, states in ((on_card, found), (cpu, expected)):
            restored, advanced = restorer.restore(
                [pair[row] for row in rows], [states[row] for row in rows]
            )
            for row, state in zip(rows, advanced, strict=True):
                states[row] = state
            last = last or restored
            same(restored, last)
        np.testing.assert_array_equal(on_card.last_codes, cpu.last_codes)
    for state, right in zip(found, expected, strict=True):
        same_state(state, right)


def test_a_file_of_the_cpu_goes_on_on_the_card(
    cpu: Restorer, on_card: Restorer, tmp_path: Path
) -> None:
    video = faces(8, seed=3)
    _, state = run(cpu, video[:4], cpu.new_state())
    state.save(tmp_path / "state.npz")
    expected, right = run(cpu, video[4:], state)
    found, state = run(on_card, video[4:], on_card.load_state(tmp_path / "state.npz"))
    same(found, expected)
    same_state(state, right)


def test_a_file_of_the_card_goes_on_on_the_cpu(
    cpu: Restorer, on_card: Restorer, tmp_path: Path
) -> None:
    video = faces(8, seed=4)
    _, state = run(on_card, video[:4], on_card.new_state())
    state.save(tmp_path / "state.npz")
    expected, _ = run(on_card, video[4:], state)
    found, _ = run(cpu, video[4:], cpu.load_state(tmp_path / "state.npz"))
    same(found, expected)


def test_a_state_itself_goes_from_device_to_device(cpu: Restorer, on_card: Restorer) -> None:
    video, expected = faces(6, seed=5), run(cpu, faces(6, seed=5), cpu.new_state())[0]
    found, state = run(cpu, video[:2], cpu.new_state())
    for restorer, part in ((on_card, video[2:4]), (cpu, video[4:])):
        given = state
        more, state = run(restorer, part, given)
        found += more
        with pytest.raises(StateError, match="already advanced"):
            restorer.restore(part[0], given)
    same(found, expected)


def test_a_snapshot_is_a_copy_off_the_card(cpu: Restorer, on_card: Restorer) -> None:
    video = faces(4, seed=6)
    _, state = run(on_card, video[:2], on_card.new_state())
    kept = state.snapshot()
    first, _ = run(on_card, video[2:], state)
    again, _ = run(on_card, video[2:], kept)
    same(first, again)


def test_spent_and_shared_handles_are_refused(on_card: Restorer) -> None:
    picture = faces(1)[0]
    old = on_card.new_state()
    _, new = on_card.restore(picture, old)
    for wrong in (old.save, old.snapshot, old.reset):
        with pytest.raises(StateError, match="already advanced"):
            wrong("x") if wrong == old.save else wrong()
    with pytest.raises(StateError, match="already advanced"):
        on_card.restore(picture, old)
    with pytest.raises(StateError, match="share one state"):
        on_card.restore([picture, picture], [new, new])
    with pytest.raises(UsageError, match="a face must be"):
        on_card.restore([[1, 2]], [new])
    on_card.restore(picture, new)


def slots(states: list[FaceState]) -> list[int]:
    arrays = [state.arrays for state in states]
    return [a.slot for a in arrays if isinstance(a, SlotArrays) and a.slot is not None]


def test_more_faces_than_slots_take_turns(cpu: Restorer, on_card: Restorer) -> None:
    count = SLOTS_PER_FACE * 2 + 3
    videos = [faces(3, seed=seed) for seed in range(count)]
    states = [on_card.new_state() for _ in videos]
    expected = [run(cpu, video, cpu.new_state())[0] for video in videos]
    for index in range(3):
        for face in range(count):
            picture, states[face] = on_card.restore(videos[face][index], states[face])
            same([picture], [expected[face][index]])
    taken = slots(states)
    assert len(taken) == len(set(taken)) == SLOTS_PER_FACE * 2


def test_a_slot_is_free_when_its_face_is_gone(on_card: Restorer) -> None:
    picture = faces(1)[0]
    states = [on_card.restore(picture, on_card.new_state())[1] for _ in range(SLOTS_PER_FACE * 2)]
    before, gone = states[1:], slots(states[:1])
    del states
    gc.collect()
    _, new = on_card.restore(picture, on_card.new_state())
    assert slots([new]) == gone and len(slots(before)) == len(before)


def test_a_slot_s_next_face_starts_from_zeros(on_card: Restorer) -> None:
    picture = faces(1)[0]
    for _ in range(SLOTS_PER_FACE * 2):
        run(on_card, [picture] * 3, on_card.new_state())
    _, state = on_card.restore(picture, on_card.new_state())
    assert not state.arrays["latents"][1:].any() and state.arrays["latents"][0].any()


def test_eager_frames_are_the_same_and_timed_by_stage(
    cpu: Restorer, card: Card, tiny_bundle: Path
) -> None:
    bundle, video = load_bundle(tiny_bundle), faces(5, seed=9)
    eager = Restorer(bundle, HostEngines(bundle), window=WINDOW, eager=True)
    same(run(eager, video, eager.new_state())[0], run(cpu, video, cpu.new_state())[0])
    assert card.launches == 0
    assert {*eager.stage_seconds} == {*bundle.subgraphs, "warp"}


def test_clip_mode_on_a_card_is_refused(card: Card, tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    with pytest.raises(UsageError, match="mode 'clip' runs on backend 'onnxruntime' only"):
        Restorer(bundle, HostEngines(bundle), mode="clip")
    with pytest.raises(UsageError, match="'rtx' runs mode 'stream'"):
        Restorer.load(tiny_bundle, "rtx", "clip")


def test_onnx_runtime_bound_to_the_card_s_memory_is_on_one_stream(tiny_bundle: Path) -> None:
    """The real library's IO binding, on host memory in place of a card's."""
    engines = OnnxRuntimeEngines(load_bundle(tiny_bundle), "cpu")
    engines.join({"hq_encoder": 7})
    assert not engines.captures
    run = engines.bind("hq_encoder", {"warped": 256, "predicted": 256}, {"faces": 1})
    with pytest.raises(BackendError, match="hq_encoder was opened on another stream"):
        run(1)
    engines.close()
