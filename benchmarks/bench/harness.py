"""The run: contenders in turn, round by round, so that a machine that drifts does so for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from keeprt.benchmarks.bench.hardware.rates import Meter
from keeprt.benchmarks.bench.hardware.watch import Watch
from keeprt.benchmarks.bench.rivals.contenders import Case, ContenderError, pictures_for
from keeprt.benchmarks.bench.rivals.worker import Participant, Sample
from keeprt.engine.errors import UsageError
from keeprt.engine.frame.pixels import Picture
from keeprt.engine.frame.times import FrameTimes

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
    profile: list[FrameTimes] = field(default_factory=list)


def run_case(
    case: Case,
    contenders: Mapping[str, Callable[[], Participant]],
    clip: Sequence[Picture],
    *,
    rounds: int,
    calls: int,
    least_s: float = 0.0,
    profiled: int = 0,
    meter: Meter | None = None,
    watch: Watch | None = None,
    say: Say = lambda text: None,
    runs: dict[str, Run] | None = None,
) -> list[Run]:
    """Rounds of `calls` steady calls of each contender, the rates measured before each round.

    Each round begins with another contender, so that none always follows the same one; `watch`
    looks at the card during a contender's turn and at other load after each round. `runs` is
    filled as it goes, so that an interrupted case keeps what it has. More rounds follow until the
    first contender has been timed for `least_s` seconds; then `profiled` frames of each are timed
    by the card, where they run on one. Raises UsageError for fewer than one round or call, and
    keeprt's own errors of a contender.
    """
    if rounds < 1 or calls < 1:
        raise UsageError("ask for at least one round of one call")
    runs = {} if runs is None else runs
    runs |= {name: Run(name) for name in contenders}
    alive: dict[str, Participant] = {}
    in_order = False
    try:
        for name, start in contenders.items():
            say(f"{describe(case)}: {name} starts")
            alive[name] = start()
            guarded(runs[name], alive, partial(_start, case, clip))
        ours = next(iter(runs.values()))
        for number in _numbers(ours, rounds, least_s):
            if meter is not None:
                say(f"{describe(case)}: round {number + 1} of {rounds}, rates")
                meter.measure()
            first = SPENT_CALLS + number * calls
            pictures = [pictures_for(case, clip, first + k) for k in range(calls)]
            for name in rotated(list(alive), number):
                say(f"{describe(case)}: round {number + 1} of {rounds}, {name}")
                frames = calls * case.frames_per_call
                with watch.watching(name, frames) if watch else nullcontext():
                    guarded(runs[name], alive, partial(_round, pictures))
            if watch is not None:
                watch.end_round()
        for name in list(alive):
            guarded(runs[name], alive, _remember_peak)
        if profiled:
            pictures = [pictures_for(case, clip, k) for k in range(profiled)]
            for name in list(alive):
                say(f"{describe(case)}: {name} once more, timed by the card")
                guarded(runs[name], alive, partial(_profile, pictures))
        in_order = True
    finally:
        for participant in alive.values():
            participant.close(at_once=not in_order)
    return list(runs.values())


def _numbers(ours: Run, rounds: int, least_s: float) -> Iterator[int]:
    """So many rounds, and more until ours was timed for long enough, or failed."""
    for number in count():
        timed_s = sum(sample.seconds for round_ in ours.rounds for sample in round_)
        if number >= rounds and (ours.failure or timed_s >= least_s):
            return
        yield number


def rotated(names: Sequence[str], number: int) -> list[str]:
    """The order of a round: each begins one contender further."""
    start = number % len(names) if names else 0
    return [*names[start:], *names[:start]]


def describe(case: Case) -> str:
    """A case in a few words."""
    if case.scenario == "cold":
        return "cold start"
    if case.mode == "clip":
        return f"clip, chunks of {case.chunk}"
    flying = ", two in flight" if case.in_flight > 1 else ""
    return f"stream, {case.faces} face{'s' if case.faces > 1 else ''}{flying}"


def _start(case: Case, clip: Sequence[Picture], participant: Participant, run: Run) -> None:
    load_s = participant.load()
    first = participant.first(pictures_for(case, clip, 0))
    run.cold = Cold(load_s, first.seconds, 0.0)
    settle_s = participant.settle(pictures_for(case, clip, 1))
    run.cold = Cold(load_s, first.seconds, settle_s)


def _round(pictures: Sequence[Sequence[Picture]], participant: Participant, run: Run) -> None:
    run.rounds.append(participant.round(pictures))


def _profile(pictures: Sequence[Sequence[Picture]], participant: Participant, run: Run) -> None:
    run.profile = participant.profile(pictures)


def _remember_peak(participant: Participant, run: Run) -> None:
    run.peak_bytes = participant.peak_bytes()


def guarded(
    run: Run, alive: dict[str, Participant], step: Callable[[Participant, Run], None]
) -> None:
    """Lets a contender that fails leave the run, its place in the table kept."""
    try:
        step(alive[run.name], run)
    except (ContenderError, MemoryError) as error:
        run.failure = str(error) or type(error).__name__
        alive.pop(run.name).close()
