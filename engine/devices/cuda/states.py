"""States of faces on the card: one slot each, lent for as long as a handle to the state lives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.devices.cuda.guest import CardLostError, Visit, one_line
from keeprt.engine.devices.cuda.memory import CudaMemory
from keeprt.engine.errors import StateError
from keeprt.engine.frame.buffers import Array
from keeprt.engine.frame.operations import Outside
from keeprt.engine.state import FaceState, network_identity

if TYPE_CHECKING:
    from cuda.core import Stream


# States on the card at once, for each face of a frame; those beyond wait on the host.
SLOTS_PER_FACE = 2


class SlotArrays(Mapping[str, Array]):
    """One face's arrays, as `FaceState.arrays` has them; reading one copies it to the host.

    They lie in a slot on the card, or on the host where more faces are known than there are slots;
    all zeros before the first frame.
    """

    def __init__(self, states: CudaStates, held: dict[str, Array] | None = None) -> None:
        self.slot: int | None = None
        self.held = held
        self.used = 0
        self._states = states

    def __getitem__(self, name: str) -> Array:
        if name not in self._states.shapes:
            raise KeyError(name)
        if self.slot is not None:
            return self._states.read_one(self.slot, name)
        if self.held is not None:
            return self.held[name].copy()
        return np.zeros(self._states.shapes[name], np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._states.shapes)

    def __len__(self) -> int:
        return len(self._states.shapes)


class CudaStates:
    """The slots: who has which, and copies between them and the host."""

    def __init__(
        self,
        memory: CudaMemory,
        visit: Visit,
        shapes: Mapping[str, tuple[int, ...]],
        slots: int,
        stream: Stream,
        synchronise: Callable[[], None],
    ) -> None:
        """`synchronise` waits until no frame uses a slot."""
        self.shapes = dict(shapes)
        self._memory, self._visit, self._slots, self._stream = memory, visit, slots, stream
        self._synchronise = synchronise
        self._staging = {name: memory.pinned(shape, "f4") for name, shape in shapes.items()}
        self._owners: WeakValueDictionary[int, SlotArrays] = WeakValueDictionary()
        self._clock = count(1)

    def new(self, bundle: Bundle, window: int) -> FaceState:
        """The state of a face that has had no frame."""
        return FaceState(network_identity(bundle), window, 0, SlotArrays(self))

    def placed(self, states: Sequence[FaceState]) -> list[FaceState]:
        """Handles to the same states, each in a slot."""
        arrays = self.place([state.arrays for state in states])
        return [
            FaceState(state.network, state.window, state.frames, found)
            for state, found in zip(states, arrays, strict=True)
        ]

    def place(self, faces: Sequence[Mapping[str, Array]]) -> list[SlotArrays]:
        """The same states, each in a slot; whoever was used least recently gives way to the host.

        Arrays that are not on this card are copied to it.
        """
        placed = [self._own(arrays) for arrays in faces]
        for arrays in placed:
            arrays.used = next(self._clock)
        for arrays in placed:
            if arrays.slot is None:
                slot = self._free_slot()
                self.write(slot, arrays)
                arrays.slot, arrays.held = slot, None
                self._owners[slot] = arrays
        return placed

    def read(self, slot: int) -> dict[str, Array]:
        """A slot's arrays, once all frames are done."""
        return {name: self.read_one(slot, name) for name in self.shapes}

    def read_one(self, slot: int, name: str) -> Array:
        """One array of a slot, once all frames are done; a copy."""
        buffer, pinned = self._staging[name]
        with self._visit, one_line("the state cannot be copied"):
            self._synchronise()
            self._memory.places(Outside(f"state.{name}"))[slot].copy_to(buffer, stream=self._stream)
            self._stream.sync()
        return pinned.copy()

    def write(self, slot: int, arrays: Mapping[str, Array]) -> None:
        """Puts a state into a slot, once all frames are done. Raises StateError."""
        found = {name: (array.shape, array.dtype) for name, array in arrays.items()}
        if found != {name: (shape, np.dtype("f4")) for name, shape in self.shapes.items()}:
            raise StateError(f"slot {slot} holds float32 arrays {self.shapes}, not {found}")
        with self._visit, one_line("the state cannot be copied"):
            self._synchronise()
            for name, array in arrays.items():
                buffer, pinned = self._staging[name]
                pinned[:] = array
                there = self._memory.places(Outside(f"state.{name}"))[slot]
                buffer.copy_to(there, stream=self._stream)
            self._stream.sync()

    def close(self) -> None:
        """Moves all states to the host, before the card's memory goes; those of a card that fails
        are lost."""
        for slot, arrays in list(self._owners.items()):
            with suppress(CardLostError):
                arrays.held = self.read(slot)
            arrays.slot = None
        self._owners.clear()

    def _own(self, arrays: Mapping[str, Array]) -> SlotArrays:
        if isinstance(arrays, SlotArrays) and arrays._states is self:
            return arrays
        return SlotArrays(self, dict(arrays))

    def _free_slot(self) -> int:
        for slot in range(self._slots):
            if slot not in self._owners:
                return slot
        slot, oldest = min(self._owners.items(), key=lambda owner: owner[1].used)
        oldest.held, oldest.slot = self.read(slot), None
        del self._owners[slot]
        return slot


def slot_of(state: FaceState) -> int:
    """Where a placed state lies."""
    arrays = state.arrays
    assert isinstance(arrays, SlotArrays) and arrays.slot is not None
    return arrays.slot
