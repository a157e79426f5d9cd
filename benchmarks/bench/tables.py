"""The run on the console, as rich tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table

from keeprt.benchmarks.bench.cards import DatasheetCard, Prediction
from keeprt.benchmarks.bench.harness import describe
from keeprt.benchmarks.bench.results import (
    MERGED,
    BenchResult,
    CaseResult,
    ContenderResult,
    Physics,
)
from keeprt.benchmarks.bench.summary import STREAMS_RULE

PHYSICS = ("GFLOP", "MB", "unfused", "GFLOP/s", "GB/s", "FLOP/B", "floor ms", "x floor")
PHYSICS_NOTE = (
    "MB must move: weights, inputs and outputs once. unfused: MB if every node of the graph reads "
    "and writes memory. floor: max(FLOP / product rate, bytes / copy rate)"
)


def bench_tables(result: BenchResult) -> Iterator[Table]:
    """Per case the contenders, the stages and the physics; then the streams that fit."""
    for case in result.cases:
        yield latency_table(case)
        yield cold_table(case)
        yield stages_table(case)
        if case.contenders[0].whole is not None:
            yield physics_table(case)
    if result.streams:
        yield streams_table(result)


def call_of(case: CaseResult) -> str:
    """What one timed call restores."""
    return "frame" if case.case.mode == "stream" else "chunk"


def latency_table(case: CaseResult) -> Table:
    """Warm times of a call, and the throughput."""
    title = f"{describe(case.case)}: ms per {call_of(case)}, warm"
    columns = ("p50", "p90", "p99", "max", "jitter", "calls", "faces/s", "x ours")
    table = _table(title, "", *columns)
    ours = case.contenders[0].call_ms
    for found in case.contenders:
        ms = found.call_ms
        if ms is None:
            table.add_row(found.name, f"failed: {found.failure}")
            continue
        times = (f"{value:.1f}" for value in (ms.p50, ms.p90, ms.p99, ms.max, ms.jitter))
        ratio = f"{ms.p50 / ours.p50:.2f}" if ours else ""
        table.add_row(found.name, *times, str(ms.count), f"{found.faces_per_s:.2f}", ratio)
    return table


def cold_table(case: CaseResult) -> Table:
    """What comes before the steady state, and the most memory, each in a process of its own."""
    title = f"{describe(case.case)}: cold start and memory, each in a process of its own"
    columns = ("load s", f"first {call_of(case)} s", "warm-up s", "peak memory MB")
    table = _table(title, "", *columns)
    for found in case.contenders:
        if found.cold is None:
            table.add_row(found.name, f"failed: {found.failure}")
            continue
        cold = (found.cold.load_s, found.cold.first_s, found.cold.settle_s)
        table.add_row(found.name, *(f"{s:.2f}" for s in cold), f"{found.peak_memory_mb:.0f}")
    return table


def stages_table(case: CaseResult) -> Table:
    """Median time of each stage, of everybody; parts that one side has as one are added up."""
    title = f"{describe(case.case)}: median ms of a stage in a frame"
    table = _table(title, "stage", *(found.name for found in case.contenders))
    for stage in stage_names(case.contenders):
        table.add_row(stage, *(_number(stage_ms(found, stage)) for found in case.contenders))
    table.add_section()
    frames = (f"{f.frame_ms.p50:.2f}" if f.frame_ms else "" for f in case.contenders)
    table.add_row("whole frame", *frames)
    return table


def stage_names(contenders: Sequence[ContenderResult]) -> list[str]:
    """The stages of the first contender, and after its parts what another has as one."""
    ours = [stage.stage for stage in contenders[0].stages]
    others = {stage.stage for found in contenders[1:] for stage in found.stages}
    for name, parts in MERGED.items():
        if name in others and parts[-1] in ours:
            ours.insert(ours.index(parts[-1]) + 1, name)
    return ours


def stage_ms(contender: ContenderResult, name: str) -> float | None:
    """Median milliseconds of a stage, of a merged one the sum of its parts'."""
    medians = {stage.stage: stage.ms.p50 for stage in contender.stages}
    parts = MERGED.get(name, ())
    if name not in medians and parts and all(part in medians for part in parts):
        return sum(medians[part] for part in parts)
    return medians.get(name)


def physics_table(case: CaseResult) -> Table:
    """Work and traffic of the engine's stages, achieved rates, and the distance from the floor."""
    rates = f"{case.rates.gflop_s:.0f} GFLOP/s, copies {case.rates.gb_s:.1f} GB/s"
    ours = case.contenders[0]
    title = f"{describe(case.case)}: {ours.name} against this machine: products {rates}"
    table = _table(title, "stage", *PHYSICS, caption=PHYSICS_NOTE)
    for stage in ours.stages:
        if stage.physics is not None:
            table.add_row(stage.stage, *physics_cells(stage.physics))
    if ours.whole is not None:
        table.add_section()
        table.add_row("whole frame", *physics_cells(ours.whole))
    return table


def physics_cells(physics: Physics) -> list[str]:
    """The columns of PHYSICS."""
    return [
        f"{physics.gflop:.2f}",
        f"{physics.must_move_mb:.0f}",
        f"{physics.unfused_mb:.0f}",
        f"{physics.gflop_s:.1f}",
        f"{physics.gb_s:.2f}",
        f"{physics.flop_per_byte:.0f}",
        f"{physics.floor_ms:.2f}",
        f"{physics.times_floor:.2f}",
    ]


def streams_table(result: BenchResult) -> Table:
    """Streams that each contender sustains, the rule below."""
    rates = list(next(iter(result.streams.values())))
    title = "streams sustained on this machine"
    table = _table(title, "", *(f"{fps} fps" for fps in rates), caption=STREAMS_RULE)
    for name, streams in result.streams.items():
        table.add_row(name, *(str(streams[fps]) for fps in rates))
    return table


def prediction_tables(predictions: Sequence[Prediction]) -> Iterator[Table]:
    """Floors of cards that are not here, a table for each way of computing; then their sources."""
    for types in dict.fromkeys(found.precision for found in predictions):
        title = f"PREDICTION from datasheets, not measured ({types}): ms of a frame at least"
        chosen = [found for found in predictions if found.precision == types]
        names = [stage.stage for stage in chosen[0].stages]
        caption = "m: set by memory traffic, all others by arithmetic"
        table = _table(title, "card", *names, "frame", "fps at most", caption=caption)
        for found in chosen:
            marks = ["" if s.bound_by == "arithmetic" else " m" for s in found.stages]
            stages = [f"{s.ms:.2f}{m}" for s, m in zip(found.stages, marks, strict=True)]
            frame = [f"{found.frame_ms:.2f}", f"{1e3 / found.frame_ms:.0f}"]
            table.add_row(found.card.name, *stages, *frame)
        yield table
    yield _sources(list({found.card.name: found.card for found in predictions}.values()))


def _sources(cards: Sequence[DatasheetCard]) -> Table:
    title = "dense rates that the predictions stand on (fp16: with float32 accumulation)"
    table = _table(title, "card", "fp16 TFLOP/s", "fp32 TFLOP/s", "GB/s", "source")
    for card in cards:
        rates = (card.fp16_tflop_s, card.fp32_tflop_s, card.gb_s)
        table.add_row(card.name, *(f"{rate:g}" for rate in rates), card.source)
    return table


def _table(title: str, first: str, *columns: str, caption: str | None = None) -> Table:
    table = Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="left" if column == "source" else "right")
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
