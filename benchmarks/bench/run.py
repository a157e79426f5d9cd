"""The whole of `keeprt bench`: cases, contenders, figures."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from keeprt.benchmarks.bench.cold import build_seconds, run_cold
from keeprt.benchmarks.bench.cost import StageCost, clip_costs, stream_costs
from keeprt.benchmarks.bench.hardware.card_rates import open_meter
from keeprt.benchmarks.bench.hardware.machine import bundle_facts, card_facts, machine_facts
from keeprt.benchmarks.bench.hardware.rates import Meter, best_rates
from keeprt.benchmarks.bench.hardware.watch import Watch
from keeprt.benchmarks.bench.harness import Run, Say, run_case
from keeprt.benchmarks.bench.results import (
    BenchResult,
    CaseResult,
    batch_speeds,
    contender_result,
    with_ratios,
)
from keeprt.benchmarks.bench.rivals.catalogue import RIVALS, check_rivals
from keeprt.benchmarks.bench.rivals.contenders import Case
from keeprt.benchmarks.bench.rivals.worker import (
    EAGER,
    ENGINE,
    IN_FLIGHT,
    ContenderSpec,
    Remote,
)
from keeprt.benchmarks.bench.scenarios import SCENARIOS
from keeprt.benchmarks.bench.summary import sustained_streams
from keeprt.benchmarks.demo_clip import demo_clip
from keeprt.engine.bundle.load import Bundle, load_bundle
from keeprt.engine.devices.cuda.driver import require_card
from keeprt.engine.errors import UsageError
from keeprt.engine.frame.pixels import Picture
from keeprt.engine.libraries.tensorrt.flavours import FLAVOURS
from keeprt.engine.opening import on_a_card

CLIP_FRAMES = 8
CARD_FRAMES, CARD_SECONDS, CARD_CALLS, PROFILED = 1000, 60.0, 100, 200


@dataclass(frozen=True)
class Options:
    """What to run. `frames` are the frames of one round: so many calls of stream mode; without
    `rounds` or `frames` it is as `lengths_of` says, no `faces` are those of the scenario. `delay_s`
    is slept in each of the engine's calls: a slowdown of known size, to try the gate of
    --baseline."""

    bundle: Path
    weights: str = ""
    modes: tuple[str, ...] = ("stream",)
    faces: tuple[int, ...] = ()
    scenario: str = "latency"
    rivals: tuple[str, ...] = ()
    rounds: int | None = None
    frames: int | None = None
    window: int = 8
    chunk: int = 20
    threads: int | None = None
    backend: str = "onnxruntime"
    provider: str = "cpu"
    command: str = ""
    delay_s: float = 0.0
    device: int = 0

    @property
    def on_a_card(self) -> bool:
        """Whether the engine computes on a GPU."""
        return on_a_card(self.backend, self.provider)


@dataclass
class _Session:
    """One run as it goes: what was measured so far, and what is watched beside it."""

    options: Options
    bundle: Bundle
    say: Say
    watch: Watch
    meter: Meter
    clip: Sequence[Picture]
    cases: list[CaseResult] = field(default_factory=list)
    runs: dict[str, Run] = field(default_factory=dict)
    before: int = 0
    facts: dict[str, str] = field(default_factory=dict)

    def measure(self, case: Case) -> None:
        """All contenders of one case."""
        self.before, self.runs = len(self.meter.measured), {}
        specs = specs_of(self.options, self.bundle, case)
        contenders = {spec.name: partial(Remote, spec) for spec in specs}
        lengths = lengths_of(self.options, case)
        shared: dict[str, Any] = {
            "rounds": lengths.rounds,
            "meter": self.meter,
            "watch": self.watch,
            "say": self.say,
            "runs": self.runs,
        }
        if case.scenario == "cold":
            if self.options.backend in FLAVOURS:
                self.say("building the plans anew")
                self.facts["plans built in"] = _built_in(self.options, self.bundle, case)
            run_cold(case, contenders, self.clip, self.bundle.path, **shared)
        else:
            how = asdict(lengths) | shared
            run_case(case, contenders, self.clip, **how)
        self.conclude(case)

    def conclude(self, case: Case) -> None:
        """Figures of what was measured of a case."""
        samples = tuple(self.meter.measured[self.before :] or self.meter.measured[-1:])
        # A processor's rates say nothing about work on a card.
        physics = self.watch.card_used == self.meter.of_card and case.scenario != "cold"
        costs = costs_of(self.bundle, case) if physics else {}
        rates = best_rates(samples)
        found = [contender_result(run, case, costs, rates) for run in self.runs.values()]
        self.cases.append(CaseResult(case, rates, samples, with_ratios(found)))
        self.runs = {}

    def result(self, complete: bool) -> BenchResult:
        """All of it."""
        options, cases = self.options, self.cases
        names = [found.name for found in cases[0].contenders]
        streams = "stream" in options.modes and options.scenario != "cold"
        return BenchResult(
            machine=machine_facts(options.threads) | self.watch.facts() | self.facts,
            bundle=bundle_facts(self.bundle),
            command=options.command,
            rates=best_rates(self.meter.measured),
            cases=tuple(cases),
            streams={n: sustained_streams(batch_speeds(cases, n)) for n in names if streams},
            complete=complete,
            scenario=SCENARIOS[options.scenario].statement(),
            load=self.watch.load(),
            on_card=self.watch.card_used,
        )


def run_bench(
    options: Options,
    say: Say = lambda text: None,
    keep: Callable[[BenchResult], None] = lambda result: None,
) -> BenchResult:
    """Measures every case. Raises UsageError, BundleError, BackendError or CheckpointError.

    A run that is interrupted gives `keep` what it has measured, if anything, and ends.
    """
    bundle = _checked(options)
    clip = demo_clip(CLIP_FRAMES, size=bundle.face_size).degraded
    say("looking at what else runs here")
    watch = Watch.open(options.on_a_card, options.device)
    card = options.device if options.on_a_card else None
    meter = open_meter(options.threads, card, card_facts(options.device)["GPU"])
    session = _Session(options, bundle, say, watch, meter, clip)
    try:
        for case in cases_of(options):
            session.measure(case)
        return session.result(complete=True)
    except KeyboardInterrupt:
        if any(run.rounds for run in session.runs.values()) and session.meter.measured:
            session.conclude(case)
        if session.cases:
            keep(session.result(complete=False))
        raise
    finally:
        session.meter.close()
        watch.close()


def _built_in(options: Options, bundle: Bundle, case: Case) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return f"{build_seconds(bundle, options.backend, case, Path(folder)):.1f} s, once"


def cases_of(options: Options) -> list[Case]:
    """Stream mode with each number of faces, clip mode with one. Raises UsageError."""
    how = (options.window, options.chunk, options.threads, options.scenario)
    chosen = options.faces or SCENARIOS[options.scenario].faces
    return [
        Case(mode, faces, *how)  # type: ignore[arg-type]
        for mode in options.modes
        for faces in (chosen if mode == "stream" else (1,))
    ]


def specs_of(options: Options, bundle: Bundle, case: Case) -> list[ContenderSpec]:
    """The engine, on a card with two frames in flight and without CUDA graphs as well, then its
    rivals."""
    others = (EAGER,) if case.scenario != "latency" else (IN_FLIGHT, EAGER)
    engine = [ENGINE, *(others if options.backend in FLAVOURS else ())]
    weights = options.weights or bundle.findable_weights
    return [
        ContenderSpec(
            name,
            options.bundle,
            case,
            weights,
            options.backend,
            options.provider,
            options.delay_s,
            options.device,
        )
        for name in (*engine, *options.rivals)
    ]


@dataclass(frozen=True)
class Lengths:
    """How long a case is measured: rounds of so many calls, seconds of the engine at least, and
    frames of the profile run."""

    rounds: int
    calls: int
    least_s: float = 0.0
    profiled: int = 0


def lengths_of(options: Options, case: Case) -> Lengths:
    """What was asked for; else on a card at least CARD_FRAMES frames and CARD_SECONDS."""
    stream, card = case.mode == "stream", options.on_a_card
    if case.scenario == "cold" or not card:
        return Lengths(options.rounds or 3, (options.frames or 4) if stream else 1)
    asked = options.rounds or options.frames
    calls = (options.frames or CARD_CALLS) if stream else 1
    rounds = options.rounds or math.ceil(CARD_FRAMES / (calls * case.frames_per_call))
    profiled = PROFILED if stream else 0
    return Lengths(rounds, calls, 0.0 if asked else CARD_SECONDS, profiled)


def costs_of(bundle: Bundle, case: Case) -> dict[str, StageCost]:
    """What a frame of the case must compute and move, by stage."""
    if case.mode == "clip":
        return clip_costs(bundle, case.chunk)
    return stream_costs(bundle, case.faces, case.window)


def _checked(options: Options) -> Bundle:
    """Everything that can be refused before anything is measured."""
    check_rivals(options.rivals, options.on_a_card)
    if options.on_a_card:
        require_card(options.device)
    cases_of(options)
    bundle = load_bundle(options.bundle)
    _check_weights(options, bundle)
    return bundle


def _check_weights(options: Options, bundle: Bundle) -> None:
    needing = [rival for rival in options.rivals if RIVALS[rival].needs_weights]
    if needing and not options.weights and not bundle.findable_weights:
        raise UsageError(
            f"the rival {needing[0]!r} needs the reference's weights "
            f"({bundle.manifest.weights_source}): give them with --weights, or leave it out of "
            "--rivals"
        )
