"""From one ONNX subgraph to one serialised plan, by the builder of either flavour."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keeprt.engine.bundle.specs import SubgraphSpec
from keeprt.engine.errors import BackendError
from keeprt.engine.libraries.tensorrt.checks import check_network, count_layers
from keeprt.engine.libraries.tensorrt.flavours import (
    Flavour,
    kept_timings,
    new_network,
    require_capturable,
    set_targets,
    use_timing_cache,
)
from keeprt.engine.libraries.tensorrt.graphs import GraphProfile

ACTIVATION = re.compile(r"Total Activation Memory: (\d+) bytes")
WEIGHTS = re.compile(r"Total Weights Memory: (\d+) bytes")

# Hears (phase, steps done, steps in all) from the builder's own threads.
OnStep = Callable[[str, int, int], None]


@dataclass(frozen=True)
class BuiltPlan:
    """A serialised plan and what its build told."""

    plan: Any  # TensorRT's host memory, a buffer
    timings: Any  # the same: for the next build on this card, None where there are none
    seconds: float
    activation_bytes: int
    weights_bytes: int
    layers: dict[str, int]

    @property
    def size_bytes(self) -> int:
        """Size of the plan."""
        return int(self.plan.nbytes)


@dataclass(frozen=True)
class Job:
    """One subgraph to build: its graph, what the manifest says of it, and for what it is built."""

    name: str
    spec: SubgraphSpec
    graph: bytes
    precision: str
    targets: tuple[str, ...]
    profile: GraphProfile
    timing_cache: Path


@dataclass
class _Log:
    """The builder's lines: errors for a message, the memory report for the note."""

    errors: list[str] = field(default_factory=list)
    activation_bytes: int = 0
    weights_bytes: int = 0

    def add(self, is_error: bool, text: str) -> None:
        if is_error:
            self.errors.append(text.splitlines()[0] if text else "")
        if found := ACTIVATION.search(text):
            self.activation_bytes = int(found.group(1))
        if found := WEIGHTS.search(text):
            self.weights_bytes = int(found.group(1))


def build_plan(trt: Any, flavour: Flavour, job: Job, on_step: OnStep) -> BuiltPlan:
    """Parses, checks and builds one subgraph.

    An interrupt (Ctrl-C) stops the builder at its next step and is raised again. Raises
    BackendError where the graph is not what the manifest says or the builder refuses it.
    """
    log = _Log()
    logger = _logger(trt, log)
    builder = trt.Builder(logger)
    network = new_network(trt, builder)
    parser = trt.OnnxParser(network, logger)
    # From memory: a graph that points to weights in other files finds none.
    if not parser.parse(job.graph):
        reason = parser.get_error(0).desc() if parser.num_errors else "no reason given"
        raise BackendError(f"{flavour.module} cannot read {job.spec.file}: {reason}")
    if not network.num_layers:  # the parser takes some bytes that are no graph for an empty one
        raise BackendError(f"{flavour.module} cannot read {job.spec.file}: no graph in it")
    layers = check_network(network, job.name, job.spec, job.precision)
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # on by default, and float32 would mean 10 bits
    # What layers a plan has is told of one that was built so; it costs no time on the card.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    require_capturable(trt, flavour, config)
    set_targets(trt, flavour, config, job.targets)
    _add_profile(builder, config, job)
    use_timing_cache(flavour, config, job.timing_cache)
    start = time.perf_counter()
    plan = _interruptible(trt, builder, network, config, on_step)
    if plan is None:
        reason = log.errors[-1] if log.errors else "no reason given"
        raise BackendError(f"{flavour.module} cannot build {job.name}: {reason}")
    return BuiltPlan(
        plan=plan,
        timings=kept_timings(flavour, config),
        seconds=time.perf_counter() - start,
        activation_bytes=log.activation_bytes,
        weights_bytes=log.weights_bytes,
        layers=count_layers(layers),
    )


def _add_profile(builder: Any, config: Any, job: Job) -> None:
    profile = builder.create_optimization_profile()
    axes = job.profile.axes()
    for spec in job.spec.inputs:
        sizes = [
            spec.sized(**{axis: size[which] for axis, size in axes.items()}) for which in range(3)
        ]
        profile.set_shape(spec.name, *sizes)
    if config.add_optimization_profile(profile) < 0:
        raise BackendError(f"{job.name}: TensorRT refuses the sizes {job.profile}")


def _interruptible(trt: Any, builder: Any, network: Any, config: Any, on_step: OnStep) -> Any:
    """Builds in a thread, since a signal cannot reach Python while the builder runs here."""
    go, cancelled, done = threading.Event(), threading.Event(), threading.Event()
    monitor = _monitor(trt, cancelled, on_step)
    config.progress_monitor = monitor
    result: list[Any] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            go.wait()
            if not cancelled.is_set():
                result.append(builder.build_serialized_network(network, config))
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    try:
        threading.Thread(target=work, name="tensorrt-build").start()
        go.set()
        # Not join(): interrupted, Python 3.11 and 3.12 take the thread for ended while it runs.
        while not done.wait(0.05):
            pass
    except KeyboardInterrupt:
        cancelled.set()
        if go.is_set():
            done.wait()
        go.set()
        raise
    if errors:
        raise errors[0]
    return result[0]


def _logger(trt: Any, log: _Log) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, text: str) -> None:
            log.add(severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR), text)

    return Logger()


def _monitor(trt: Any, cancelled: threading.Event, on_step: OnStep) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self.steps[phase] = steps
            on_step(phase, 0, steps)

        def step_complete(self, phase: str, step: int) -> bool:
            on_step(phase, step + 1, self.steps.get(phase, step + 1))
            return not cancelled.is_set()

        def phase_finish(self, phase: str) -> None:
            steps = self.steps.pop(phase, 0)
            on_step(phase, steps, steps)

    return Monitor()
