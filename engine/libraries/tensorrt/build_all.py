"""Builds all plans of a bundle that are not there yet."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keeprt.engine.errors import BackendError
from keeprt.engine.libraries.tensorrt.build import Job, OnStep, build_plan
from keeprt.engine.libraries.tensorrt.flavours import (
    Flavour,
    flavour_named,
    load_flavour,
    resolve_targets,
)
from keeprt.engine.libraries.tensorrt.graphs import GraphProfile, Graphs
from keeprt.engine.libraries.tensorrt.plan_lock import plans_locked
from keeprt.engine.libraries.tensorrt.plan_store import (
    PlanKey,
    PlanNote,
    Profile,
    check_plan,
    plan_key,
    plans_folder,
    write_atomically,
    write_plan,
)

# A plan is as large as its graph's weights and the code for one target (4 to 12 MB were seen).
CODE_BYTES = 16_000_000


@dataclass(frozen=True)
class BuildRequest:
    """What to build: the flavour, the compute capabilities, sizes, and whether one plan is for all.

    No targets means the card present; `portable` makes one plan for all targets.
    """

    flavour: str = "rtx"
    targets: tuple[str, ...] = ()
    profile: GraphProfile = field(default_factory=Profile)
    portable: bool = False

    def command(self, bundle: Path) -> str:
        """The command that makes these plans."""
        words = [f"keeprt build {bundle} --flavor {self.flavour}"]
        if self.targets:
            words.append(f"--target {','.join(self.targets)}")
        words += [
            f"--{axis} {','.join(map(str, sizes))}" for axis, sizes in self.profile.axes().items()
        ]
        return " ".join([*words, *(["--portable"] if self.portable else [])])


@dataclass(frozen=True)
class Made:
    """A plan that is there now; `cached` if it was before."""

    file: Path
    note: PlanNote
    cached: bool


@dataclass
class Listener:
    """Hears how a build goes on: each plan's start, its builder's steps, its end, and notes."""

    on_plan: Callable[[PlanKey], None] = lambda key: None
    on_step: OnStep = lambda phase, done, total: None
    on_made: Callable[[Made], None] = lambda made: None
    notify: Callable[[str], None] = lambda text: None


def build_plans(
    graphs: Graphs,
    request: BuildRequest,
    folder: Path | None = None,
    listener: Listener | None = None,
) -> list[Made]:
    """Makes the plan of every graph for every target, or finds it made already.

    Raises UsageError for a flavour or target that there is none of, BackendError where the
    library, a GPU or disk space is missing, or the builder refuses a graph.
    """
    listener = listener or Listener()
    flavour = flavour_named(request.flavour)
    targets = resolve_targets(flavour, request.targets)
    trt = load_flavour(flavour)
    groups = [targets] if request.portable else [(target,) for target in targets]
    folder = folder or plans_folder(graphs)
    made = []
    with plans_locked(folder, listener.notify):
        for name in graphs.subgraphs:
            for group in groups:
                key = plan_key(
                    graphs,
                    name,
                    flavour=flavour.name,
                    version=trt.__version__,
                    targets=group,
                    profile=request.profile,
                )
                listener.on_plan(key)
                plan = _find_or_make(trt, flavour, graphs, key, group, request, folder, listener)
                listener.on_made(plan)
                made.append(plan)
    return made


def _find_or_make(
    trt: Any,
    flavour: Flavour,
    graphs: Graphs,
    key: PlanKey,
    targets: tuple[str, ...],
    request: BuildRequest,
    folder: Path,
    listener: Listener,
) -> Made:
    file = folder / key.file_name
    if file.is_file():
        try:
            return Made(file, check_plan(file, key), cached=True)
        except BackendError as error:
            listener.notify(f"{error}: building it again")
    spec = graphs.subgraphs[key.subgraph]
    _check_space(folder, spec.size_bytes)
    job = Job(
        name=key.subgraph,
        spec=spec,
        graph=graphs.graph(key.subgraph),
        precision=key.precision,
        targets=targets,
        profile=request.profile,
        timing_cache=folder / f"{key.flavour}-{key.version}-{'-'.join(targets)}.timing",
    )
    built = build_plan(trt, flavour, job, listener.on_step)
    note = PlanNote(
        key=key,
        sha256=hashlib.sha256(built.plan).hexdigest(),
        size_bytes=built.size_bytes,
        seconds=round(built.seconds, 3),
        activation_bytes=built.activation_bytes,
        weights_bytes=built.weights_bytes,
        layers=built.layers,
    )
    made = Made(write_plan(folder, note, built.plan), note, cached=False)
    if built.timings is not None:
        _keep_timings(job.timing_cache, built.timings, listener)
    return made


def _keep_timings(file: Path, timings: Any, listener: Listener) -> None:
    """Without them the next build takes longer: no reason to lose a plan."""
    try:
        write_atomically(file, timings)
    except OSError as error:
        listener.notify(f"cannot keep the builder's timings in {file}: {error.strerror}")


def _check_space(folder: Path, graph_bytes: int) -> None:
    needed = graph_bytes + CODE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BackendError(
            f"no space for the plan in {folder}: it needs about {needed / 1e6:.0f} MB, "
            f"{free / 1e6:.0f} MB are free"
        )
