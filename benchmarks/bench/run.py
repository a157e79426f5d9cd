"""The whole of `keeprt bench`: cases, contenders, figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from keeprt.benchmarks.bench.contenders import MODES, Case
from keeprt.benchmarks.bench.cost import StageCost, clip_costs, stream_costs
from keeprt.benchmarks.bench.harness import Say, run_case
from keeprt.benchmarks.bench.machine import (
    bundle_facts,
    card_facts,
    device_memory_bytes,
    machine_facts,
)
from keeprt.benchmarks.bench.rates import RateMeter, best_rates
from keeprt.benchmarks.bench.results import (
    BenchResult,
    CaseResult,
    batch_speeds,
    contender_result,
)
from keeprt.benchmarks.bench.summary import sustained_streams
from keeprt.benchmarks.bench.worker import ENGINE, RIVALS, ContenderSpec, Remote, unknown_rival
from keeprt.benchmarks.demo_clip import demo_clip
from keeprt.engine.bundle import Bundle, load_bundle
from keeprt.engine.errors import UsageError
from keeprt.engine.nvidia_driver import require_card

CLIP_FRAMES = 8
ON_A_CARD = ("rtx", "tensorrt")


@dataclass(frozen=True)
class Options:
    """What to run. `frames` are the frames of one round: so many calls of stream mode."""

    bundle: Path
    weights: str = ""
    modes: tuple[str, ...] = ("stream",)
    faces: tuple[int, ...] = (1,)
    rivals: tuple[str, ...] = ()
    rounds: int = 3
    frames: int = 4
    window: int = 8
    chunk: int = 20
    threads: int | None = None
    backend: str = "onnxruntime"
    provider: str = "cpu"
    command: str = ""


@dataclass
class Card:
    """The card under work: clocks, power limit and memory as they are between the rounds."""

    used: bool
    memory_bytes: int = 0
    facts: dict[str, str] = field(default_factory=card_facts)

    def observe(self) -> None:
        """Takes the state of now; the memory is the most seen."""
        if self.used:
            self.memory_bytes = max(self.memory_bytes, device_memory_bytes())
            self.facts = card_facts()
            known = f"{self.memory_bytes / 1e6:.0f} MB, most seen after a round, of all contenders"
            self.facts["GPU memory"] = known if self.memory_bytes else "unknown: no nvidia-ml-py"


def on_a_card(options: Options) -> bool:
    """Whether the engine computes on a GPU."""
    return options.backend in ON_A_CARD or options.provider != "cpu"


def run_bench(options: Options, say: Say = lambda text: None) -> BenchResult:
    """Measures every case. Raises UsageError, BundleError, BackendError or CheckpointError."""
    bundle = _checked(options)
    card = Card(on_a_card(options))
    clip = demo_clip(CLIP_FRAMES, size=bundle.face_size).degraded
    meter = RateMeter(options.threads)
    cases = []
    try:
        for case in cases_of(options):
            before = len(meter.measured)
            runs = run_case(
                case,
                {spec.name: partial(Remote, spec) for spec in specs_of(options, bundle, case)},
                clip,
                rounds=options.rounds,
                calls=options.frames if case.mode == "stream" else 1,
                meter=meter,
                observe=card.observe,
                say=say,
            )
            samples = tuple(meter.measured[before:])
            # The measured rates are the processor's: they say nothing about work on a card.
            costs = {} if card.used else costs_of(bundle, case)
            rates = best_rates(samples)
            results = tuple(contender_result(run, case, costs, rates) for run in runs)
            cases.append(CaseResult(case, rates, samples, results))
    finally:
        meter.close()
    names = [found.name for found in cases[0].contenders]
    return BenchResult(
        machine=machine_facts(options.threads) | card.facts,
        bundle=bundle_facts(bundle),
        command=options.command,
        rates=best_rates(meter.measured),
        cases=tuple(cases),
        streams={name: sustained_streams(batch_speeds(cases, name)) for name in names}
        if "stream" in options.modes
        else {},
    )


def cases_of(options: Options) -> list[Case]:
    """Stream mode with each number of faces, clip mode with one. Raises UsageError."""
    return [
        Case(mode, faces, options.window, options.chunk, options.threads)  # type: ignore[arg-type]
        for mode in options.modes
        for faces in (options.faces if mode == "stream" else (1,))
    ]


def specs_of(options: Options, bundle: Bundle, case: Case) -> list[ContenderSpec]:
    """The engine, on a card with and without CUDA graphs, then its rivals."""
    engine = [ENGINE, *([f"{ENGINE} (eager)"] if options.backend in ON_A_CARD else [])]
    weights = options.weights or bundle.findable_weights
    return [
        ContenderSpec(name, options.bundle, case, weights, options.backend, options.provider)
        for name in (*engine, *options.rivals)
    ]


def costs_of(bundle: Bundle, case: Case) -> dict[str, StageCost]:
    """What a frame of the case must compute and move, by stage."""
    if case.mode == "clip":
        return clip_costs(bundle, case.chunk)
    return stream_costs(bundle, case.faces, case.window)


def _checked(options: Options) -> Bundle:
    """Everything that can be refused before anything is measured."""
    for mode in options.modes:
        if mode not in MODES:
            raise UsageError(f"unknown mode {mode!r}; choose {' or '.join(MODES)}, or both")
    for rival in options.rivals:
        if rival not in RIVALS:
            raise unknown_rival(rival)
    if options.rounds < 1 or options.frames < 1:
        raise UsageError("--rounds and --frames must be at least 1")
    if on_a_card(options):
        require_card()
    cases_of(options)
    bundle = load_bundle(options.bundle)
    _check_weights(options, bundle)
    return bundle


def _check_weights(options: Options, bundle: Bundle) -> None:
    needing = [rival for rival in options.rivals if rival in ("eager", "compile")]
    if needing and not options.weights and not bundle.findable_weights:
        raise UsageError(
            f"the rival {needing[0]!r} needs the reference's weights "
            f"({bundle.manifest.weights_source}): give them with --weights, or leave it out of "
            "--rivals"
        )
