"""One frame of the reference, with what crosses every subgraph's border; needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from keeprt.engine.frame.pixels import Picture
from keeprt.engine.state import FaceState

Array = NDArray[Any]


@dataclass
class ReferenceFrame:
    """One frame of the reference: inputs and outputs of its subgraphs, and the state around it.

    Values are by tensor name as in the manifest, with a leading axis of one face. `before` and
    `after` hold the arrays of a `FaceState`, without the face axis; `before` is empty for a frame
    that begins.
    """

    face: Picture
    inputs: dict[str, dict[str, Array]] = field(default_factory=dict)
    outputs: dict[str, dict[str, Array]] = field(default_factory=dict)
    before: dict[str, Array] = field(default_factory=dict)
    after: dict[str, Array] = field(default_factory=dict)
    frames_before: int = 0
    logits_std: float = 1.0

    def put_into(self, state: FaceState) -> FaceState:
        """The state before this frame, in the memory of `state`, which is spent."""
        return _filled(state, self.before, self.frames_before)

    def put_after_into(self, state: FaceState) -> FaceState:
        """The state after this frame, in the memory of `state`, which is spent."""
        return _filled(state, self.after, self.frames_before + 1)


class ReferenceSource(Protocol):
    """Where the reference's frames come from: the network itself, or a file."""

    def restore(self, pictures: Sequence[Picture]) -> Iterator[ReferenceFrame]:
        """The frames of these pictures, which follow those before."""


def _filled(state: FaceState, arrays: dict[str, Array], frames: int) -> FaceState:
    for name, array in arrays.items():
        if name == "latents":
            state.arrays[name][: len(array)] = array
        else:
            state.arrays[name][...] = array
    return state.advanced(frames)
