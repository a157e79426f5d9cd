"""Whose state is whose: states of running sequences by id, and which requests are refused."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from keeprt.engine.errors import StateError

S = TypeVar("S")


class Sequences(Generic[S]):
    """States by sequence id, at most `limit` of them: the one used longest ago makes room.

    A server frees a dead client's place after its idle timeout and never says so. With `limit` the
    number of sequences that the server lets run at once, the state that has to go is then always
    one of the dead: a live one was used later than the timeout ago.
    """

    def __init__(self, limit: int, new: Callable[[], S], frames: Callable[[S], int]) -> None:
        """`new` gives a state before a first frame, `frames` how many frames a state has had."""
        self._limit, self._new, self._frames = limit, new, frames
        self._states: OrderedDict[str, S] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def take(self, name: str, *, start: bool, index: int) -> S:
        """The state that frame `index` of a sequence goes on from; it is changed by `keep` alone.

        Raises StateError: for a first frame of a sequence that is running (two clients with one
        id), for a later one of a sequence that is not, and for a frame that is not the next one
        (one was lost, or came twice). What is refused changes nothing.
        """
        if not name:
            raise StateError("the request names no sequence: give it an id of its own, a UUID")
        if start:
            return self._begin(name, index)
        if name not in self._states:
            raise StateError(
                f"sequence {name} is not running: it has ended, or made room after a long pause; "
                "begin a new one"
            )
        state = self._states[name]
        if index != self._frames(state):
            raise StateError(
                f"sequence {name} has had {self._frames(state)} frames, this is number {index}: a "
                "frame was lost or came twice; send the next one or begin a new sequence"
            )
        return state

    def keep(self, name: str, state: S) -> None:
        """The state after a frame of a sequence; the one used longest ago may go for it."""
        self._states[name] = state
        self._states.move_to_end(name)
        while len(self._states) > self._limit:
            self._states.popitem(last=False)

    def end(self, name: str) -> None:
        """Forgets a sequence, whether it is running or not."""
        self._states.pop(name, None)

    def _begin(self, name: str, index: int) -> S:
        if name in self._states:
            raise StateError(
                f"sequence {name} is running already: two clients share an id, or one began twice; "
                "take a UUID for each"
            )
        if index != 0:
            raise StateError(f"sequence {name} begins with frame {index}; its first is number 0")
        return self._new()
