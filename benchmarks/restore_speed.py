"""Speed and memory of the CPU runtime against the PyTorch reference, interleaved in one run.

    python -m keeprt.benchmarks.restore_speed --bundle bundle --weights synthetic:1

Both work in clip mode on the same chunks, round by round, so that a machine whose speed drifts
does so for both. The matrix-product rate is measured between rounds with the reference's own
library, as a yardstick for how fast this machine could be. `--frames 60` follows the memory of a
long run in stream mode instead.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from keeprt.benchmarks.demo_clip import demo_clip
from keeprt.engine.pixels import Picture
from keeprt.engine.restorer import Restorer
from keeprt.export.model import Keep
from keeprt.export.pipeline import load_network
from keeprt.export.reference import reference_frames

# The engine's stages in terms of the reference's modules; what the reference does beside them
# (update, code transformer) is counted as "rest".
REFERENCE_MODULES = {
    "lq_encoder": "encoder",
    "flow": "flownet.model",
    "gain_net": "kalman_filter",
    "hq_encoder": "hq_encoder",
    "decoder": "generator",
}
ENGINE_STAGES = {"flow": ("flow_features", "flow_matching")}
MATRIX_SIZE = 2048


@dataclass
class Rounds:
    """Seconds per frame of one side, a value per round, and its stages added up."""

    seconds: list[float] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    frames: int = 0

    def add(self, seconds: float, frames: int, stages: dict[str, float]) -> None:
        """Counts one round of so many frames."""
        for stage, spent in stages.items():
            self.stages[stage] += spent
        self.seconds.append(seconds / frames)
        self.frames += frames


def matrix_rate_gflops(threads: int) -> float:
    """float32 matrix-product rate of this machine right now, in GFLOP/s."""
    torch.set_num_threads(threads)
    matrix = torch.randn(MATRIX_SIZE, MATRIX_SIZE)
    start = time.perf_counter()
    for _ in range(4):
        matrix @ matrix
    return 4 * 2 * MATRIX_SIZE**3 / (time.perf_counter() - start) / 1e9


@contextmanager
def timed_modules(network: Keep, stages: dict[str, float]) -> Iterator[None]:
    """Adds the seconds that the reference's parts take to `stages`, by forward hooks."""
    handles, started = [], {}

    def before(stage: str, _module: nn.Module, _inputs: object) -> None:
        started[stage] = time.perf_counter()

    def after(stage: str, _module: nn.Module, _inputs: object, _output: object) -> None:
        stages[stage] += time.perf_counter() - started[stage]

    for stage, name in REFERENCE_MODULES.items():
        module = network.get_submodule(name)
        handles.append(module.register_forward_pre_hook(lambda m, i, s=stage: before(s, m, i)))
        handles.append(module.register_forward_hook(lambda m, i, o, s=stage: after(s, m, i, o)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def compare(
    restorer: Restorer, network: Keep, faces: Sequence[Picture], rounds: int, threads: int
) -> tuple[Rounds, Rounds, list[float]]:
    """Reference and engine on the same clip in turn; the first round of both is warm-up."""
    reference, engine, rates = Rounds(), Rounds(), []
    for round_ in range(rounds + 1):
        rates.append(matrix_rate_gflops(threads))
        stages: dict[str, float] = defaultdict(float)
        start = time.perf_counter()
        with timed_modules(network, stages):
            for _ in reference_frames(network, faces):
                pass
        reference_s = time.perf_counter() - start
        restorer.stage_seconds.clear()
        start = time.perf_counter()
        for _ in restorer.restore_clip(faces):
            pass
        engine_s = time.perf_counter() - start
        if round_:
            reference.add(reference_s, len(faces), stages)
            engine.add(engine_s, len(faces), restorer.stage_seconds)
    return reference, engine, rates


def report(reference: Rounds, engine: Rounds, rates: list[float]) -> Table:
    """The comparison as a table, seconds per frame."""
    ratios = [a / b for a, b in zip(reference.seconds, engine.seconds, strict=True)]
    title = f"seconds per frame, matrix products at {statistics.median(rates):.0f} GFLOP/s"
    table = Table("stage", "reference", "engine", "ratio", title=title)
    spent_reference = spent_engine = 0.0
    for stage in REFERENCE_MODULES:
        ours = sum(engine.stages[name] for name in ENGINE_STAGES.get(stage, (stage,)))
        theirs = reference.stages[stage]
        spent_engine, spent_reference = spent_engine + ours, spent_reference + theirs
        table.add_row(stage, *_per_frame(theirs, reference), *_per_frame(ours, engine), "")
    warp = engine.stages["warp"]
    table.add_row("warp", "", *_per_frame(warp, engine), "")
    rest_reference = sum(reference.seconds) * reference.frames / len(reference.seconds)
    rest_engine = sum(engine.seconds) * engine.frames / len(engine.seconds)
    between = (rest_engine - spent_engine - warp) / rest_engine
    table.add_row(
        "rest",
        *_per_frame(rest_reference - spent_reference, reference),
        *_per_frame(rest_engine - spent_engine - warp, engine),
        f"{100 * between:.2f} % of ours",
    )
    table.add_row(
        "frame (median)",
        f"{statistics.median(reference.seconds):.3f}",
        f"{statistics.median(engine.seconds):.3f}",
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
    )
    return table


def _per_frame(seconds: float, side: Rounds) -> tuple[str]:
    return (f"{seconds / side.frames:.3f}",)


def memory(restorer: Restorer, faces: Sequence[Picture], frames: int) -> Table:
    """Resident memory while a stream runs, in MB."""
    process = psutil.Process()
    table = Table("frame", "resident MB", "seconds", title="memory of one stream")
    state = restorer.new_state()
    for index in range(1, frames + 1):
        start = time.perf_counter()
        _, state = restorer.restore(faces[index % len(faces)], state)
        if index % 10 == 0 or index == 1:
            resident = process.memory_info().rss / 1e6
            table.add_row(str(index), f"{resident:.1f}", f"{time.perf_counter() - start:.2f}")
    return table


def main() -> None:
    """Command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bundle", default="bundle")
    parser.add_argument("--weights", default="synthetic:1")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--chunk", type=int, default=3, help="frames per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, help="follow memory over so many frames instead")
    options = parser.parse_args()
    console = Console()
    if options.frames:
        restorer = Restorer.load(options.bundle, threads=options.threads)
        faces = demo_clip(8, size=restorer.bundle.face_size).degraded
        console.print(memory(restorer, faces, options.frames))
        return
    restorer = Restorer.load(options.bundle, mode="clip", threads=options.threads)
    faces = demo_clip(options.chunk, size=restorer.bundle.face_size).degraded
    network, _ = load_network(options.weights)
    console.print(report(*compare(restorer, network, faces, options.rounds, options.threads)))


if __name__ == "__main__":
    main()
