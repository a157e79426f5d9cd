"""The state that a channel is in, and what is told of its changes."""

from __future__ import annotations

from keeprt.engine.live.states import ON_AIR, Bypass, Facts, State, next_state
from keeprt.engine.live.wire.meters import Meters

LATE_TOLD_S = 10.0


class Standing:
    """`enter` with what is known at a tick; `state`, and since when."""

    def __init__(self, meters: Meters) -> None:
        self.state, self.since_s = State.CONNECTING, 0.0
        self._meters = meters
        self._bypass: Bypass | None = None  # at the last change
        self._late_told_s = float("-inf")

    def enter(self, facts: Facts, now_s: float) -> None:
        """The state that follows; an event where it is another."""
        state = next_state(self.state, facts)
        if state is self.state:
            return
        late = Bypass.LATE in (facts.bypass, self._bypass)
        if not (late and self._flickers(now_s)):
            self._tell(state, facts.bypass)
        self.state, self.since_s, self._bypass = state, now_s, facts.bypass

    def _tell(self, state: State, bypass: Bypass | None) -> None:
        # One picture late is a repeat that is counted, no event.
        if state is State.HOLDING or (self.state is State.HOLDING and state in ON_AIR):
            return
        level = "info" if state in ON_AIR else "warning"
        why = f": {bypass}" if state is State.BYPASSING else ""
        self._meters.event(level, "state", f"{self.state} to {state}{why}")

    def _flickers(self, now_s: float) -> bool:
        """Whether such a change was told a short while ago: under load they come by the frame."""
        if now_s - self._late_told_s < LATE_TOLD_S:
            return True
        self._late_told_s = now_s
        return False
