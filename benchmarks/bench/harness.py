"""The run: contenders in turn, round by round, so that a machine that drifts does so for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from keeprt.benchmarks.bench.contenders import Case, pictures_for
from keeprt.benchmarks.bench.rates import RateMeter
from keeprt.benchmarks.bench.worker import ContenderError, Participant, Sample
from keeprt.engine.errors import UsageError
from keeprt.engine.pixels import Picture

Say = Callable[[str], None]

SPENT_CALLS = 4  # pictures that the cold start and the warm-up have gone through


@dataclass(frozen=True)
class Cold:
    """Seconds before the steady state: loading, the first call, and the calls of the warm-up."""

    load_s: float
    first_s: float
    settle_s: float


@dataclass
class Run:
    """What one contender did in one case; `failure` says in a line why it stopped."""

    name: str
    cold: Cold | None = None
    rounds: list[list[Sample]] = field(default_factory=list)
    peak_bytes: int = 0
    failure: str = ""


def run_case(
    case: Case,
    contenders: Mapping[str, Callable[[], Participant]],
    clip: Sequence[Picture],
    *,
    rounds: int,
    calls: int,
    meter: RateMeter | None = None,
    observe: Callable[[], None] = lambda: None,
    say: Say = lambda text: None,
) -> list[Run]:
    """Rounds of `calls` steady calls of each contender, the rates measured before each round.

    Each round begins with another contender, so that none always follows the same one; `observe`
    is called after each, while a card has the clocks of its work. Raises UsageError for fewer
    than one round or call, and keeprt's own errors of a contender.
    """
    if rounds < 1 or calls < 1:
        raise UsageError("ask for at least one round of one call")
    runs = {name: Run(name) for name in contenders}
    alive: dict[str, Participant] = {}
    try:
        for name, start in contenders.items():
            say(f"{describe(case)}: {name} starts")
            alive[name] = start()
            _guarded(runs[name], alive, partial(_start, case, clip))
        for number in range(rounds):
            if meter is not None:
                say(f"{describe(case)}: round {number + 1} of {rounds}, this machine's rates")
                meter.measure()
            first = SPENT_CALLS + number * calls
            pictures = [pictures_for(case, clip, first + k) for k in range(calls)]
            for name in rotated(list(alive), number):
                say(f"{describe(case)}: round {number + 1} of {rounds}, {name}")
                _guarded(runs[name], alive, partial(_round, pictures))
            observe()
        for name in list(alive):
            _guarded(runs[name], alive, _remember_peak)
    finally:
        for participant in alive.values():
            participant.close()
    return list(runs.values())


def rotated(names: Sequence[str], number: int) -> list[str]:
    """The order of a round: each begins one contender further."""
    start = number % len(names) if names else 0
    return [*names[start:], *names[:start]]


def describe(case: Case) -> str:
    """A case in a few words."""
    if case.mode == "clip":
        return f"clip, chunks of {case.chunk}"
    return f"stream, {case.faces} face{'s' if case.faces > 1 else ''}"


def _start(case: Case, clip: Sequence[Picture], participant: Participant, run: Run) -> None:
    load_s = participant.load()
    first = participant.first(pictures_for(case, clip, 0))
    run.cold = Cold(load_s, first.seconds, 0.0)
    settle_s = participant.settle(pictures_for(case, clip, 1))
    run.cold = Cold(load_s, first.seconds, settle_s)


def _round(pictures: Sequence[Sequence[Picture]], participant: Participant, run: Run) -> None:
    run.rounds.append(participant.round(pictures))


def _remember_peak(participant: Participant, run: Run) -> None:
    run.peak_bytes = participant.peak_bytes()


def _guarded(
    run: Run, alive: dict[str, Participant], step: Callable[[Participant, Run], None]
) -> None:
    """Lets a contender that fails leave the run, its place in the table kept."""
    try:
        step(alive[run.name], run)
    except (ContenderError, MemoryError) as error:
        run.failure = str(error) or type(error).__name__
        alive.pop(run.name).close()
