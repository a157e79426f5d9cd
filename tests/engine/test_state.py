"""A face's state as a value: its window, its life, its file."""

from __future__ import annotations

import io
import json
import os
import random
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine.bundle.load import Bundle, load_bundle
from keeprt.engine.errors import StateError
from keeprt.engine.state import FaceState, load_state
from tests.engine.fake_bundles import LATENT, make_bundle

WINDOW = 4


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return load_bundle(make_bundle(tmp_path / "bundle"))


@pytest.fixture
def state(bundle: Bundle) -> FaceState:
    """A state of six frames whose values tell where they belong."""
    state = FaceState.new(bundle, WINDOW)
    for array in state.arrays.values():
        array[:] = np.random.default_rng(0).standard_normal(array.shape)
    return state.advanced(6)


@pytest.fixture
def file(state: FaceState, tmp_path: Path) -> Path:
    state.save(tmp_path / "face.state")
    return tmp_path / "face.state"


def same(a: FaceState, b: FaceState) -> bool:
    return (a.network, a.window, a.frames) == (b.network, b.window, b.frames) and all(
        np.array_equal(a.arrays[name], b.arrays[name]) for name in a.arrays | b.arrays
    )


# The gain's window


@pytest.mark.parametrize("window", [2, 3, 4, 8])
def test_the_window_is_the_anchor_and_the_last_frames(bundle: Bundle, window: int) -> None:
    state = FaceState.new(bundle, window)
    for index in range(12):
        latent = np.full(LATENT, index, np.float32)
        seen = [int(piece.flat[0]) for part in state.window_with(latent) for piece in part]
        assert seen == ([0] if index else []) + [*range(max(1, index - window + 2), index)] + [
            index
        ]
        assert len(seen) == min(index + 1, window)
        state.push(latent)
        state = state.advanced(index + 1)
        assert state.seen == min(index + 1, window)


def test_looking_at_the_window_changes_nothing(state: FaceState) -> None:
    before = state.snapshot()
    pieces = state.window_with(np.ones(LATENT, np.float32))
    assert all(
        np.shares_memory(piece, state.arrays["latents"]) for piece in pieces[:-1] if piece.size
    )
    assert same(state, before)


# Handles


def test_an_advanced_handle_is_spent_and_the_memory_moves_on(state: FaceState) -> None:
    later = state.advanced(7)
    assert later.frames == 7
    assert later.arrays is state.arrays
    later.check_usable()
    for use in (state.check_usable, state.snapshot, state.reset, lambda: state.save("never")):
        with pytest.raises(StateError, match="already advanced"):
            use()


def test_a_reset_starts_anew(state: FaceState) -> None:
    fresh = state.reset()
    assert (fresh.frames, fresh.seen) == (0, 0)
    assert state.spent


def test_a_snapshot_is_independent(state: FaceState) -> None:
    copy = state.snapshot()
    assert same(copy, state)
    state.arrays["restored"][:] = 7
    state.advanced(9)
    assert not same(copy, state)
    copy.check_usable()


# Files


def test_a_saved_state_comes_back(bundle: Bundle, state: FaceState, file: Path) -> None:
    assert same(load_state(file, bundle, WINDOW), state)
    state.check_usable()


def test_saving_replaces_and_leaves_nothing_else(state: FaceState, file: Path) -> None:
    state.arrays["restored"][:] = 1
    state.save(str(file))
    assert sorted(path.name for path in file.parent.iterdir()) == ["bundle", "face.state"]


def test_a_failed_save_leaves_the_old_file(
    bundle: Bundle, state: FaceState, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(stream: io.BufferedWriter, **arrays: object) -> None:
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(StateError, match="No space left"):
        state.save(file)
    assert same(load_state(file, bundle, WINDOW), state)
    assert sorted(path.name for path in file.parent.iterdir()) == ["bundle", "face.state"]


def test_a_place_that_cannot_be_written(state: FaceState, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="nowhere"):
        state.save(tmp_path / "nowhere" / "face.state")


def refused(file: Path, bundle: Bundle, match: str, window: int = WINDOW) -> None:
    with pytest.raises(StateError, match=match) as caught:
        load_state(file, bundle, window)
    assert str(file) in str(caught.value)


def test_no_file(bundle: Bundle, tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", bundle, "no state file")
    refused(tmp_path, bundle, "no state file, or damaged")


def test_another_window(bundle: Bundle, file: Path) -> None:
    refused(file, bundle, "window of 4 frames, not 5", window=5)


def test_another_network(file: Path, tmp_path: Path) -> None:
    other = load_bundle(make_bundle(tmp_path / "other", weights_sha256="e" * 64))
    refused(file, other, "another network")


def test_another_configuration(bundle: Bundle, file: Path) -> None:
    manifest = replace(bundle.manifest, configuration={"face_size": 64, "kalman": False})
    refused(file, replace(bundle, manifest=manifest), "another network")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.99, 0.9999])
def test_a_truncated_file(bundle: Bundle, file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    refused(file, bundle, "damaged")


@pytest.mark.slow
def test_flipped_bits_are_noticed_or_harmless(bundle: Bundle, state: FaceState, file: Path) -> None:
    """Everywhere in the headers of the archive and its members, and here and there in the data."""
    sound = file.read_bytes()
    stream = random.Random(0)
    with zipfile.ZipFile(file) as archive:
        starts = [member.header_offset for member in archive.infolist()]
        directory = archive.start_dir
    positions = [p for start in starts for p in range(start, min(start + 200, directory))]
    positions += [*range(directory, len(sound))]
    positions += [stream.randrange(len(sound)) for _ in range(100)]
    noticed = 0
    for position in positions:
        damaged = bytearray(sound)
        damaged[position] ^= 1 << stream.randrange(8)
        file.write_bytes(damaged)
        try:
            loaded = load_state(file, bundle, WINDOW)
        except StateError as error:
            assert str(file) in str(error)
            noticed += 1
        else:
            assert same(loaded, state), position
    assert noticed > len(positions) / 2


def rewrite(file: Path, header: Any = None, **changes: Any) -> None:
    with np.load(file) as content:
        arrays = dict(content)
    if header is not None:
        old = json.loads(str(arrays["header"]))
        arrays["header"] = np.array(header if isinstance(header, str) else json.dumps(header(old)))
    arrays |= changes
    with file.open("wb") as stream:
        np.savez(stream, **{name: array for name, array in arrays.items() if array is not None})


HEADERS: dict[str, Any] = {
    "no JSON": "{",
    "a list": "[]",
    "a number": "3",
    "nested": "[" * 100_000,
    "another format": lambda h: {**h, "format": "other"},
    "newer": lambda h: {**h, "version": 2},
    "negative frames": lambda h: {**h, "frames": -1},
    "frames a text": lambda h: {**h, "frames": "6"},
    "frames true": lambda h: {**h, "frames": True},
    "frames a fraction": lambda h: {**h, "frames": 6.5},
    "no frames": lambda h: {k: v for k, v in h.items() if k != "frames"},
    "window a list": lambda h: {**h, "window": [4]},
    "no network": lambda h: {**h, "network": None},
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS.keys())
def test_a_header_that_is_none(bundle: Bundle, file: Path, header: Any) -> None:
    rewrite(file, header)
    refused(file, bundle, "")


ARRAYS: dict[str, Callable[[np.ndarray], Any]] = {
    "missing": lambda a: None,
    "of another shape": lambda a: a[:-1],
    "of another type": lambda a: a.astype(np.float64),
    "of objects": lambda a: np.array([{"code": "run"}], object),
    "with NaN": lambda a: np.where(a > 1, np.nan, a).astype(np.float32),
    "infinite": lambda a: np.full_like(a, np.inf),
}


@pytest.mark.parametrize("name", ["restored", "latents", "cache_4", "features"])
@pytest.mark.parametrize("change", ARRAYS.values(), ids=ARRAYS.keys())
def test_tensors_that_are_not_a_states(
    bundle: Bundle, file: Path, name: str, change: Callable[[np.ndarray], Any]
) -> None:
    with np.load(file) as content:
        array = content[name]
    rewrite(file, **{name: change(array)})
    refused(file, bundle, "")


def test_a_tensor_too_many(bundle: Bundle, file: Path) -> None:
    rewrite(file, stowaway=np.zeros(3))
    refused(file, bundle, "other tensors")


@pytest.mark.parametrize("kind", ["npy", "pickle", "text", "archive of texts"])
def test_other_files(bundle: Bundle, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "other"
    if kind == "npy":
        with file.open("wb") as stream:
            np.save(stream, np.zeros(3))
    elif kind == "pickle":
        file.write_bytes(b"cos\nsystem\n(S'touch /tmp/never'\ntR.")
    elif kind == "text":
        file.write_text("a state, honestly")
    else:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("header.npy", "text")
            archive.writestr("restored.npy", "text")
    refused(file, bundle, "")


def test_a_file_that_may_not_be_read(bundle: Bundle, file: Path) -> None:
    file.chmod(0)
    if os.access(file, os.R_OK):
        pytest.skip("this user may read everything")
    refused(file, bundle, "damaged|read")
