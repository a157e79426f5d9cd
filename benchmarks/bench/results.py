"""What a run found, as plain values: times, memory and the physics of each stage; and its JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from keeprt.benchmarks.bench.card_times import CardTimes, StageTime, card_times
from keeprt.benchmarks.bench.cold import FIRST
from keeprt.benchmarks.bench.cost import StageCost
from keeprt.benchmarks.bench.hardware.load import Load
from keeprt.benchmarks.bench.hardware.rates import Rates
from keeprt.benchmarks.bench.harness import Cold, Run, describe
from keeprt.benchmarks.bench.physics import Physics, physics_of
from keeprt.benchmarks.bench.ratios import Ratio, ratio_of_medians
from keeprt.benchmarks.bench.rivals.contenders import Case
from keeprt.benchmarks.bench.summary import BatchSpeed, Distribution, distribution
from keeprt.engine.summaries import as_text, envelope, write_text

FORMAT_VERSION = 3
BETWEEN, WHOLE = "between stages", "whole frame"
# Stages of the reference that are several of the engine's.
MERGED = {"flow": ("flow_features", "flow_matching")}


@dataclass(frozen=True)
class StageResult:
    """Milliseconds of one stage in a frame (of all faces of a batch), and of each call's."""

    stage: str
    ms: Distribution
    physics: Physics | None = None
    calls_ms: tuple[float, ...] = ()


@dataclass(frozen=True)
class ContenderResult:
    """One contender in one case. `call_ms` is what a caller waits: a frame, or a chunk.

    `times_ours` is its median call by the engine's. `rounds_waited_ms` is the part of each call in
    which its thread had no core, `pace_ms` each round's unit of work (see `bench.load`).
    `card` is of a profile run on a card; `prepared` contexts were made or graphs captured in timed
    calls, which is none where frames were steady.
    """

    name: str
    failure: str = ""
    cold: Cold | None = None
    call_ms: Distribution | None = None
    frame_ms: Distribution | None = None
    faces_per_s: float = 0.0
    stages: tuple[StageResult, ...] = ()
    whole: Physics | None = None
    peak_memory_mb: float = 0.0
    rounds_ms: tuple[tuple[float, ...], ...] = ()
    resident_mb: tuple[float, ...] = ()
    rounds_waited_ms: tuple[tuple[float, ...], ...] = ()
    pace_ms: tuple[float, ...] = ()
    times_ours: Ratio | None = None
    card: CardTimes | None = None
    prepared: int = 0


@dataclass(frozen=True)
class CaseResult:
    """All contenders of one case, the engine first, and the rates measured between rounds."""

    case: Case
    rates: Rates
    rate_samples: tuple[Rates, ...]
    contenders: tuple[ContenderResult, ...]


@dataclass(frozen=True)
class BenchResult:
    """A whole run. `streams` is by contender and frame rate, over all batch sizes; `load` is what
    else ran, `on_card` whether the engine computed on a GPU, whose times need no processor."""

    machine: Mapping[str, str]
    bundle: Mapping[str, str]
    command: str
    rates: Rates
    cases: tuple[CaseResult, ...]
    streams: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    complete: bool = True
    scenario: str = ""
    load: Load | None = None
    on_card: bool = False
    date: str = ""

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before he believes a figure."""
        found = [self.load.warning()] if self.load and self.load.warning() else []
        for case in self.cases:
            ours = case.contenders[0]
            if ours.call_ms is not None and ours.call_ms.unstable:
                found.append(f"{describe(case.case)}: {ours.name}'s {ours.call_ms.unstable}")
            found += [
                f"{describe(case.case)}: {one.name} was not steady: in timed calls {one.prepared} "
                "contexts were made or graphs captured"
                for one in case.contenders
                if one.prepared
            ]
        return found

    def to_json(self) -> str:
        """The whole of it as JSON text, in the envelope of all results."""
        content: dict[str, Any] = {"format_version": FORMAT_VERSION} | asdict(self)
        machine, command = content.pop("machine"), content.pop("command")
        content.pop("date")
        content["warnings"] = self.warnings
        return as_text(envelope("bench", content, command, machine))

    def write_json(self, path: Path) -> None:
        """Writes the JSON; the file appears whole or not at all. Raises UsageError."""
        write_text(path, self.to_json())


def contender_result(
    run: Run, case: Case, costs: Mapping[str, StageCost], rates: Rates
) -> ContenderResult:
    """The figures of one contender's run; of one that failed, what is known of it."""
    samples = [sample for round_ in run.rounds for sample in round_]
    if run.failure or not samples:
        return ContenderResult(run.name, run.failure or "nothing was measured", run.cold)
    frames = case.frames_per_call
    rounds_s = [[sample.seconds for sample in round_] for round_ in run.rounds]
    frame_ms = distribution([[s / frames for s in round_] for round_ in rounds_s])
    stages = tuple(_stages(run, frames, _merged(costs, samples[0].stages), rates))
    return ContenderResult(
        name=run.name,
        cold=run.cold,
        call_ms=distribution(rounds_s),
        frame_ms=frame_ms,
        faces_per_s=1e3 * case.faces / frame_ms.mean,
        stages=stages,
        whole=physics_of(list(costs.values()), frame_ms.p50, rates),
        peak_memory_mb=run.peak_bytes / 1e6,
        rounds_ms=tuple(tuple(1e3 * s for s in round_) for round_ in rounds_s),
        resident_mb=tuple(sample.resident_bytes / 1e6 for sample in samples),
        rounds_waited_ms=tuple(tuple(1e3 * s.waited_s for s in round_) for round_ in run.rounds),
        pace_ms=tuple(1e3 * round_[0].pace_s for round_ in run.rounds if round_),
        card=_card(run, costs, rates),
        prepared=sum(sample.prepared for sample in samples),
    )


def physics_rows(found: ContenderResult) -> Iterator[tuple[str, Physics]]:
    """The stages of a contender, as the card timed them where it did, and the whole frame."""
    stages: Sequence[StageResult | StageTime] = found.stages
    if found.card is not None and not any(stage.physics for stage in stages):
        stages = found.card.stages
    for stage in stages:
        if stage.physics is not None:
            yield stage.stage, stage.physics
    if found.whole is not None:
        yield WHOLE, found.whole


def with_ratios(contenders: Sequence[ContenderResult]) -> tuple[ContenderResult, ...]:
    """The same, each rival with how many times as long it takes as the first."""
    ours = contenders[0].rounds_ms
    if not ours:
        return tuple(contenders)
    return tuple(
        replace(found, times_ours=ratio_of_medians(found.rounds_ms, ours, paired=True))
        if found.rounds_ms and index
        else found
        for index, found in enumerate(contenders)
    )


def batch_speeds(cases: Sequence[CaseResult], contender: str) -> list[BatchSpeed]:
    """How fast a contender's batches of stream mode were."""
    return [
        BatchSpeed(result.case.faces, found.call_ms.p99 / 1e3, found.faces_per_s)
        for result in cases
        if result.case.mode == "stream"
        for found in result.contenders
        if found.name == contender and found.call_ms is not None
    ]


def _stages(
    run: Run, frames: int, costs: Mapping[str, StageCost], rates: Rates
) -> list[StageResult]:
    names = list(run.rounds[0][0].stages)
    between = [] if FIRST in names else [BETWEEN]
    found = []
    for name in [*names, *between]:
        rounds_s = [
            [
                (sample.seconds - sum(sample.stages.values()) if name == BETWEEN
                 else sample.stages.get(name, 0.0)) / frames
                for sample in round_
            ]
            for round_ in run.rounds
        ]  # fmt: skip
        ms = distribution(rounds_s)
        cost = costs.get(name)
        physics = physics_of([cost], ms.p50, rates) if cost else None
        calls = tuple(1e3 * s for round_ in rounds_s for s in round_)
        found.append(StageResult(name, ms, physics, calls))
    return found


def _card(run: Run, costs: Mapping[str, StageCost], rates: Rates) -> CardTimes | None:
    """The profile run's times, with the physics of each operation that is a stage."""
    found = card_times(run.profile)
    if found is None:
        return None
    stages = (
        replace(stage, physics=physics_of([costs[stage.stage]], stage.ms.p50, rates))
        if stage.stage in costs
        else stage
        for stage in found.stages
    )
    return replace(found, stages=tuple(stages))


def _merged(costs: Mapping[str, StageCost], stages: Mapping[str, float]) -> dict[str, StageCost]:
    """Costs by the contender's own stages, of which one may be several of the engine's."""
    merged = dict(costs)
    for name, parts in MERGED.items():
        if name in stages and all(part in costs for part in parts):
            both = [costs[part] for part in parts]
            merged[name] = StageCost(
                name,
                dict(sum((Counter(cost.flop) for cost in both), Counter())),
                sum(cost.must_move_bytes for cost in both),
                sum(cost.unfused_bytes for cost in both),
            )
    return merged
