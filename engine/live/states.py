"""The states of a live channel, as a pure function of the last state and what is known now.

Interface: `state = next_state(state, facts)` at each tick; `is_ready` and
`is_healthy` for the probes of whoever supervises the process.

    starting -> connecting -> locking -> live <-> bypassing
                                ^  live, bypassing <-> holding -> slate -> locking
    any -> stopping
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from keeprt.engine.live.loss import Cover


class State(StrEnum):
    """What the channel is doing, as the page, the metrics and the events name it."""

    STARTING = "starting"
    CONNECTING = "connecting"  # nothing has come in yet
    LOCKING = "locking"  # bytes come in; the clock is not locked, or no picture is due yet
    LIVE = "live"
    BYPASSING = "bypassing"  # the original is on air
    HOLDING = "holding"  # the last picture is repeated
    SLATE = "slate"  # black or the slate
    STOPPING = "stopping"


class Bypass(StrEnum):
    """Why the original is on air."""

    OPERATOR = "operator"
    LATE = "late"
    WORKER_DOWN = "worker down"
    ERROR = "error"
    WARMING = "warming"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known at a tick."""

    started: bool = True
    stopping: bool = False
    receiving: bool = False  # bytes have come in within the time that counts as connected
    fresh: bool = False  # this tick has a picture of its own: the clock is locked
    cover: Cover | None = None  # what the ladder says, where it has none
    bypass: Bypass | None = None


ON_AIR = (State.LIVE, State.BYPASSING)


def next_state(state: State, facts: Facts) -> State:
    """The state after one tick, from the state before and what is true now."""
    if facts.stopping or state is State.STOPPING:
        return State.STOPPING
    if not facts.started:
        return State.STARTING
    if facts.fresh:
        return State.BYPASSING if facts.bypass else State.LIVE
    if state in (*ON_AIR, State.HOLDING):
        return State.HOLDING if facts.cover in (None, Cover.REPEAT) else State.SLATE
    if state is State.SLATE and not facts.receiving:
        return State.SLATE
    return State.LOCKING if facts.receiving else State.CONNECTING


def is_ready(state: State, last_tick_age_s: float | None, period_s: float) -> bool:
    """Whether the output ticks, and pictures of the input are on air."""
    return state in ON_AIR and is_healthy(last_tick_age_s, period_s)


def is_healthy(last_tick_age_s: float | None, period_s: float) -> bool:
    """Whether the last tick is younger than two periods; None: there was none."""
    return last_tick_age_s is not None and last_tick_age_s < 2 * period_s
