"""Cold starts: each in a new process, the bundle's files no longer in the system's cache."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from keeprt.benchmarks.bench.hardware.rates import Meter
from keeprt.benchmarks.bench.hardware.watch import Watch
from keeprt.benchmarks.bench.harness import Cold, Run, Say, describe, guarded, rotated
from keeprt.benchmarks.bench.rivals.contenders import Case, pictures_for
from keeprt.benchmarks.bench.rivals.worker import Participant, Sample
from keeprt.engine.bundle.load import Bundle
from keeprt.engine.frame.pixels import Picture
from keeprt.engine.libraries.tensorrt.build_all import BuildRequest, build_plans
from keeprt.engine.libraries.tensorrt.plan_store import Profile

LOAD, FIRST = "load", "first frame"


def run_cold(
    case: Case,
    contenders: Mapping[str, Callable[[], Participant]],
    clip: Sequence[Picture],
    files: Path,
    *,
    rounds: int,
    meter: Meter | None = None,
    watch: Watch | None = None,
    say: Say = lambda text: None,
    runs: dict[str, Run] | None = None,
) -> list[Run]:
    """Rounds of one start of each contender, as `run_case` has rounds of calls.

    A sample is the time to the first restored frame: libraries, sessions, memory, what is compiled
    at load, and the frame. `files` is the folder that is dropped from the cache.
    """
    runs = {} if runs is None else runs
    runs |= {name: Run(name) for name in contenders}
    able = list(contenders)
    for number in range(rounds):
        if meter is not None:
            meter.measure()
        for name in rotated(able, number):
            say(f"{describe(case)}: round {number + 1} of {rounds}, {name}")
            forget_files(files)
            alive = {name: contenders[name]()}
            try:
                guarded(runs[name], alive, partial(_start, case, clip))
            finally:
                for participant in alive.values():
                    participant.close(at_once=bool(runs[name].failure))
        able = [name for name in able if not runs[name].failure]
        if watch is not None:
            watch.end_round()
    return list(runs.values())


def _start(case: Case, clip: Sequence[Picture], participant: Participant, run: Run) -> None:
    load_s = participant.load()
    first = participant.first(pictures_for(case, clip, 0))
    stages = {LOAD: load_s, FIRST: first.seconds}
    run.cold = run.cold or Cold(load_s, first.seconds, 0.0)
    run.rounds.append([Sample(load_s + first.seconds, stages, first.resident_bytes)])
    run.peak_bytes = max(run.peak_bytes, participant.peak_bytes())


def forget_files(folder: Path) -> None:
    """Asks the system to drop a folder's files from its cache; no effect where it cannot."""
    if not hasattr(os, "posix_fadvise"):
        return
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def build_seconds(bundle: Bundle, backend: str, case: Case, folder: Path) -> float:
    """Seconds to build all plans of a case anew into an empty folder. Raises BackendError."""
    profile = Profile(faces=(1, 1, case.faces), frames=(2, case.window, case.window))
    start = time.perf_counter()
    build_plans(bundle, BuildRequest(backend, profile=profile), folder)
    return time.perf_counter() - start
