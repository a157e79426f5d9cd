"""No person's frames in another's state: intruders, duplicates, losses, dead clients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from keeprt.engine.errors import StateError
from keeprt.engine.restorer import Restorer
from keeprt.engine.serving.sequences import Sequences
from keeprt.engine.serving.triton_model import Channels, Frame, TritonModel
from tests.networks import faces


@dataclass
class Count:
    frames: int = 0


def sequences(limit: int = 2) -> Sequences[Count]:
    return Sequences(limit, Count, lambda state: state.frames)


def advance(states: Sequences[Count], name: str, index: int) -> None:
    state = states.take(name, start=index == 0, index=index)
    assert state.frames == index
    states.keep(name, Count(index + 1))


def test_frames_in_order_go_on_from_their_own_state() -> None:
    states = sequences()
    for index in range(5):
        advance(states, "a", index)
        advance(states, "b", index)


@pytest.mark.parametrize(
    ("name", "start", "index", "said"),
    [
        ("a", True, 0, "running already"),
        ("a", False, 1, "came twice"),
        ("a", False, 3, "has had 2 frames, this is number 3"),
        ("b", False, 1, "is not running"),
        ("b", True, 1, "its first is number 0"),
        ("", True, 0, "names no sequence"),
    ],
)
def test_what_does_not_follow_is_refused_and_changes_nothing(
    name: str, start: bool, index: int, said: str
) -> None:
    states = sequences()
    advance(states, "a", 0)
    advance(states, "a", 1)
    with pytest.raises(StateError, match=said):
        states.take(name, start=start, index=index)
    advance(states, "a", 2)


def test_the_state_used_longest_ago_makes_room() -> None:
    states = sequences(limit=2)
    advance(states, "dead", 0)
    for index in range(3):
        advance(states, "live", index)
    advance(states, "new", 0)
    assert len(states) == 2
    advance(states, "live", 3)
    with pytest.raises(StateError, match="not running"):
        states.take("dead", start=False, index=1)


def test_an_ended_sequence_is_forgotten_and_its_id_may_come_again() -> None:
    states = sequences()
    advance(states, "a", 0)
    states.end("a")
    states.end("a")
    advance(states, "a", 0)


def test_an_end_costs_the_others_of_its_batch_nothing() -> None:
    """The picture of a request that only ends its sequence may not be written, and goes back."""
    face = np.zeros((4, 4, 3), np.uint8)
    face.flags.writeable = False
    tensor = SimpleNamespace(from_dlpack=lambda name, array: (name, array.__dlpack__()))
    model = TritonModel()
    model._backend = SimpleNamespace(Tensor=tensor, InferenceResponse=list)
    ((name, _),) = model._response(face)
    assert name == "RESTORED"


def test_a_batch_that_fails_ends_its_sequences_alone(tiny_bundle: Path) -> None:
    restorer = Restorer.load(tiny_bundle, threads=1, window=3, max_faces=2)
    channels = Channels(restorer, 4)
    face = faces(1)[0]
    channels.restore([Frame(name, True, False, 0, face) for name in ("a", "b", "c")])
    inner, restorer.restore = restorer.restore, None  # type: ignore[method-assign, assignment]
    failed = channels.restore([Frame("a", False, False, 1, face)])
    restorer.restore = inner  # type: ignore[method-assign]
    assert isinstance(failed[0], Exception)
    later = channels.restore([Frame(name, False, False, 1, face) for name in ("a", "b")])
    assert isinstance(later[0], StateError) and isinstance(later[1], np.ndarray)
