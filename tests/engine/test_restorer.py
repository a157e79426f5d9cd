"""Stream mode: one frame in, one frame out, the state a value that goes round."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from keeprt.engine import Restorer
from keeprt.export.model import FrameResult, Keep
from keeprt.export.model.keep import stream_window
from keeprt.export.reference import to_picture
from tests.engine.restorer_runs import FRAMES, WINDOW, pictures_of, rows, stream
from tests.goldens import relative_l2, to_clip
from tests.networks import faces


@pytest.fixture(scope="module")
def clip() -> list[np.ndarray]:
    return faces(FRAMES)


@pytest.fixture(scope="module")
def restorer(tiny_bundle: Path) -> Restorer:
    return Restorer.load(tiny_bundle, threads=1, window=WINDOW, max_faces=3, eager=True)


def within_a_level(actual: np.ndarray, expected: np.ndarray) -> bool:
    return int(np.abs(actual.astype(int) - expected.astype(int)).max()) <= 1


# Agreement with the reference


def expect_stream_agrees(restorer: Restorer, network: Keep, pictures: list[np.ndarray]) -> None:
    with torch.no_grad():
        expected: list[FrameResult] = list(network.run(to_clip(pictures), window=restorer.window))
    for index, (restored, _) in enumerate(stream(restorer, pictures)):
        result = expected[index]
        assert np.array_equal(rows(restorer, "codes")[0], result.codes[0].numpy()), index
        assert within_a_level(restored, to_picture(result.face[0])), index


def test_faces_and_codes_are_the_references(
    restorer: Restorer, tiny: Keep, clip: list[np.ndarray]
) -> None:
    expect_stream_agrees(restorer, tiny, clip)


@pytest.mark.slow
@pytest.mark.parametrize("ablation", ["without_kalman", "without_cfa"])
def test_ablated_networks_agree_too(
    request: pytest.FixtureRequest, ablation: str, clip: list[np.ndarray]
) -> None:
    bundle = request.getfixturevalue(f"tiny_bundle_{ablation}")
    network = request.getfixturevalue(f"tiny_{ablation}")
    restorer = Restorer.load(bundle, threads=1, window=WINDOW, eager=True)
    expect_stream_agrees(restorer, network, clip[:4])


@pytest.mark.slow
@pytest.mark.parametrize("window", [2, 3, WINDOW])
def test_the_gain_is_that_of_a_clip_of_the_windows_frames(
    tiny_bundle: Path, tiny: Keep, clip: list[np.ndarray], window: int
) -> None:
    restorer = Restorer.load(tiny_bundle, threads=1, window=window, eager=True)
    for index, _ in enumerate(stream(restorer, clip)):
        if index == 0:
            continue
        frames = [clip[i] for i in stream_window(index, window)]
        assert len(frames) == min(index + 1, window)
        with torch.no_grad():
            latents, _ = tiny.encoder(to_clip(frames)[0])
            expected = tiny.kalman_filter(latents[None])[0, -1]
        assert relative_l2(rows(restorer, "gain")[0], expected) <= 1e-4, index


# Several faces


@pytest.mark.slow
def test_several_faces_of_different_ages_are_each_their_own_stream(
    restorer: Restorer, clip: list[np.ndarray]
) -> None:
    """Face 0 runs through, face 1 joins at frame 2, face 2 is reset at frame 5."""
    people = [clip, faces(FRAMES, seed=1), faces(FRAMES, seed=2)]
    expected = [
        pictures_of(restorer, people[0]),
        [None, None, *pictures_of(restorer, people[1][2:])],
        pictures_of(restorer, people[2][:5]) + pictures_of(restorer, people[2][5:]),
    ]
    states = {0: restorer.new_state(), 2: restorer.new_state()}
    for index in range(FRAMES):
        if index == 2:
            states[1] = restorer.new_state()
        if index == 5:
            states[2] = states[2].reset()
        present = [2, 0, 1][: 3 if index >= 2 else 2]
        restored, advanced = restorer.restore(
            [people[person][index] for person in present], [states[person] for person in present]
        )
        for person, picture, state in zip(present, restored, advanced, strict=True):
            states[person] = state
            assert within_a_level(picture, expected[person][index]), (person, index)
    assert [states[person].frames for person in (0, 1, 2)] == [9, 7, 4]


def batch_of(restorer: Restorer, neighbours: list[list[np.ndarray]], frames: int) -> list[bytes]:
    """The first face's bytes over some frames, with the given neighbours in the other rows."""
    everyone = [faces(frames), *neighbours]
    states = [restorer.new_state() for _ in everyone]
    results = []
    for index in range(frames):
        restored, states = restorer.restore([person[index] for person in everyone], states)
        results.append(restored[0].tobytes())
    return results


def test_a_rows_result_does_not_depend_on_its_neighbours(restorer: Restorer) -> None:
    frames = 5
    black = [np.zeros((128, 128, 3), np.uint8)] * frames
    same = faces(frames)
    first = batch_of(restorer, [faces(frames, seed=1), faces(frames, seed=2)], frames)
    assert batch_of(restorer, [black, same], frames) == first


def test_a_neighbours_broken_state_stays_its_own(
    restorer: Restorer, clip: list[np.ndarray]
) -> None:
    def two(broken: bool) -> bytes:
        states = [restorer.new_state(), restorer.new_state()]
        for index in range(4):
            if broken and index == 2:
                for array in states[1].arrays.values():
                    array[:] = np.nan
            restored, states = restorer.restore([clip[index], clip[8 - index]], states)
        return restored[0].tobytes()

    assert two(broken=True) == two(broken=False)


def test_a_new_face_is_not_touched_by_who_had_its_row_before(
    restorer: Restorer, clip: list[np.ndarray]
) -> None:
    fresh = pictures_of(restorer, clip[:3])
    states = [restorer.new_state(), restorer.new_state()]
    for array in states[0].arrays.values():
        array[:] = np.nan
    restorer.restore([clip[5], clip[6]], [states[0].advanced(3), states[1]])
    again = pictures_of(restorer, clip[:3])
    assert all(np.array_equal(a, b) for a, b in zip(fresh, again, strict=True))


# State as a value


@pytest.mark.slow
def test_a_run_cut_by_save_and_restore_gives_the_same_bytes(
    restorer: Restorer, tiny_bundle: Path, clip: list[np.ndarray], tmp_path: Path
) -> None:
    whole = pictures_of(restorer, clip)
    for cut in (1, 3, 6):
        *_, (_, state) = stream(restorer, clip[:cut])
        state.save(tmp_path / "face.state")
        other = Restorer.load(tiny_bundle, threads=1, window=WINDOW)
        resumed = stream(other, clip[cut:], other.load_state(tmp_path / "face.state"))
        for (restored, _), expected in zip(resumed, whole[cut:], strict=True):
            assert restored.tobytes() == expected.tobytes()


def test_a_snapshot_replays(restorer: Restorer, clip: list[np.ndarray]) -> None:
    *_, (_, state) = stream(restorer, clip[:5])
    kept = state.snapshot()
    first = [picture for picture, _ in stream(restorer, clip[5:], state)]
    second = [picture for picture, _ in stream(restorer, clip[5:], kept)]
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_reset_is_a_new_state(restorer: Restorer, clip: list[np.ndarray]) -> None:
    *_, (_, state) = stream(restorer, clip[:6])
    after = [picture for picture, _ in stream(restorer, clip[:3], state.reset())]
    fresh = pictures_of(restorer, clip[:3])
    assert all(np.array_equal(a, b) for a, b in zip(after, fresh, strict=True))
    assert not np.array_equal(after[2], pictures_of(restorer, clip[2:3])[0]), "state is used"
