"""A contender's frames on the card, of a profile run of their own, in trtexec's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from keeprt.benchmarks import report as r
from keeprt.benchmarks.bench.physics import Physics
from keeprt.benchmarks.bench.summary import Distribution, distribution
from keeprt.engine.frame.times import FrameTimes

#: What trtexec calls each, by the name of it here.
WORDS = {
    "latency": "latency",
    "enqueue": "enqueue",
    "h2d": "H2D",
    "gpu_compute": "GPU compute",
    "d2h": "D2H",
    "end_to_end": "end to end",
}
NOTE = (
    "By CUDA events, in a profile run after the timed one, a frame at a time. Latency, as trtexec "
    "has it, is H2D, GPU compute and D2H together; enqueue and end to end are by the host's clock. "
    "An operation's time is that on its own stream: where streams overlap, the sum is more than "
    "GPU compute"
)
COLUMNS = ("median", "p90", "p99", "max")


@dataclass(frozen=True)
class StageTime:
    """One operation of a frame, milliseconds on its stream."""

    stage: str
    ms: Distribution
    physics: Physics | None = None


@dataclass(frozen=True)
class CardTimes:
    """Milliseconds of a frame of all faces of a batch; see `FrameTimes`."""

    latency: Distribution
    enqueue: Distribution
    h2d: Distribution
    gpu_compute: Distribution
    d2h: Distribution
    end_to_end: Distribution
    stages: tuple[StageTime, ...] = ()

    def rows(self) -> Iterator[tuple[str, Distribution]]:
        """The times by trtexec's word, then by operation."""
        yield from ((word, getattr(self, name)) for name, word in WORDS.items())
        yield from ((stage.stage, stage.ms) for stage in self.stages)


def card_times(frames: Sequence[FrameTimes]) -> CardTimes | None:
    """The distributions of frames; None of none."""
    if not frames:
        return None
    whole = {
        name: _distribution([getattr(frame, f"{name}_ms") for frame in frames]) for name in WORDS
    }
    taken = [_by_stage(frame.stages_ms) for frame in frames]
    stages = tuple(
        StageTime(name, _distribution([ms.get(name, 0.0) for ms in taken]))
        for name in dict.fromkeys(name for ms in taken for name in ms)
    )
    return CardTimes(**whole, stages=stages)


def _by_stage(operations_ms: Mapping[str, float]) -> dict[str, float]:
    """Times by stage, of which one may be several operations: `gain_net.0`, `gain_net.1`."""
    found: dict[str, float] = {}
    for name, ms in operations_ms.items():
        stage = name.partition(".")[0]
        found[stage] = found.get(stage, 0.0) + ms
    return found


def _distribution(ms: Sequence[float]) -> Distribution:
    return distribution([[one / 1e3 for one in ms]])


def fill_table(table: Table, times: CardTimes) -> None:
    """Rows on the console, in a table of COLUMNS."""
    for index, (name, ms) in enumerate(times.rows()):
        if index == len(WORDS):
            table.add_section()
        table.add_row(name, *(f"{value:.3f}" for value in (ms.p50, ms.p90, ms.p99, ms.max)))


def page_table(name: str, times: CardTimes) -> r.Table:
    """The same on a page."""
    columns: list[str | r.Column] = ["", *(r.Column(one, "ms", digits=3) for one in COLUMNS)]
    rows: list[list[str | int | float | r.Cell | None]] = [
        [word, ms.p50, ms.p90, ms.p99, ms.max] for word, ms in times.rows()
    ]
    frames = times.latency.count
    return r.Table(columns, rows, title=f"{name} on the card, {frames} frames", caption=f"{NOTE}.")
