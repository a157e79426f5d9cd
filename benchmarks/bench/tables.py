"""The run on the console, as rich tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table

from keeprt.benchmarks.bench import card_times
from keeprt.benchmarks.bench.comparison import RULE, Comparison
from keeprt.benchmarks.bench.hardware.cards import DatasheetCard, Prediction
from keeprt.benchmarks.bench.hardware.rates import rates_in_words
from keeprt.benchmarks.bench.harness import describe
from keeprt.benchmarks.bench.physics import Physics
from keeprt.benchmarks.bench.results import (
    MERGED,
    WHOLE,
    BenchResult,
    CaseResult,
    ContenderResult,
    physics_rows,
)
from keeprt.benchmarks.bench.summary import STREAMS_RULE

WIDE_CARDS = 4  # so many fit beside each other in 80 columns
PHYSICS = ("GFLOP", "MB", "unfused", "GFLOP/s", "GB/s", "FLOP/B", "floor ms", "x floor")
PHYSICS_NOTE = (
    "MB must move: weights, inputs and outputs once. unfused: MB if every node of the graph reads "
    "and writes memory. floor: max(FLOP / product rate, bytes / copy rate)"
)


RATIO_NOTE = (
    "bootstrap over the rounds that both sides took turns in, and over the calls of each round"
)


def bench_tables(result: BenchResult) -> Iterator[Table]:
    """Per case the contenders, the stages and the physics; then the streams that fit."""
    for case in result.cases:
        yield latency_table(case)
        if any(found.times_ours for found in case.contenders):
            yield ratios_table(case)
        if case.case.scenario != "cold":
            yield cold_table(case)
        yield stages_table(case)
        yield from card_tables(case)
        if case.contenders[0].whole is not None:
            yield physics_table(case)
    if result.streams:
        yield streams_table(result)


def call_of(case: CaseResult) -> str:
    """What one timed call restores."""
    if case.case.scenario == "cold":
        return "cold start"
    return "frame" if case.case.mode == "stream" else "chunk"


def latency_table(case: CaseResult) -> Table:
    """Warm times of a call, and the throughput."""
    title = f"{describe(case.case)}: ms per {call_of(case)}, warm"
    columns = ("median", "p90", "p99", "p99.9", "max", "CV %", "calls", "faces/s")
    table = _table(title, "", *columns, caption=unstable(case))
    for found in case.contenders:
        ms = found.call_ms
        if ms is None:
            table.add_row(found.name, f"failed: {found.failure}")
            continue
        times = (f"{value:.1f}" for value in (ms.p50, ms.p90, ms.p99, ms.p999, ms.max, ms.cv))
        table.add_row(found.name, *times, str(ms.count), f"{found.faces_per_s:.2f}")
    return table


def unstable(case: CaseResult) -> str | None:
    """Whose times vary too much to be quoted."""
    found = [f"{one.name}: {ms.unstable}" for one in case.contenders
             if (ms := one.call_ms) and ms.unstable]  # fmt: skip
    return "warning: " + "; ".join(found) if found else None


def ratios_table(case: CaseResult) -> Table:
    """How many times as long each rival takes, with its interval."""
    title = f"{describe(case.case)}: a rival's median {call_of(case)} by ours"
    table = _table(title, "", "times ours", "95 % interval", caption=RATIO_NOTE)
    for found in case.contenders:
        if (ratio := found.times_ours) is not None:
            table.add_row(found.name, f"{ratio.value:.3f}", f"{ratio.low:.3f} to {ratio.high:.3f}")
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
    of = "start" if case.case.scenario == "cold" else "frame"
    title = f"{describe(case.case)}: median ms of a stage in a {of}"
    table = _table(title, "stage", *(found.name for found in case.contenders))
    for stage in stage_names(case.contenders):
        table.add_row(stage, *(_number(stage_ms(found, stage)) for found in case.contenders))
    table.add_section()
    frames = (f"{f.frame_ms.p50:.2f}" if f.frame_ms else "" for f in case.contenders)
    table.add_row(f"whole {of}", *frames)
    return table


def card_tables(case: CaseResult) -> Iterator[Table]:
    """Of each contender that was timed by the card."""
    for found in case.contenders:
        if found.card is not None:
            title = f"{describe(case.case)}: {found.name} on the card, ms of a frame"
            table = _table(title, "", *card_times.COLUMNS, caption=card_times.NOTE)
            card_times.fill_table(table, found.card)
            yield table


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
    ours = case.contenders[0]
    title = f"{describe(case.case)}: {ours.name} against {case.rates.of}"
    rates = f"{case.rates.of}: {rates_in_words(case.rate_samples)}. "
    table = _table(title, "stage", *PHYSICS, caption=rates + PHYSICS_NOTE)
    for name, physics in physics_rows(ours):
        if name == WHOLE:
            table.add_section()
        table.add_row(name, *physics_cells(physics))
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


def comparison_table(found: Comparison) -> Table:
    """Every comparison with the baseline."""
    columns = ("before ms", "now ms", "measured", "compared", "memory")
    table = _table("against the baseline (now by before)", "", *columns, caption=RULE)
    for one in found.changes:
        figures = (
            f"{one.before_ms:.1f}",
            f"{one.now_ms:.1f}",
            f"{one.raw:.3f}",
            str(one.time or ""),
        )
        table.add_row(f"{one.contender}, {one.case}", *figures, f"{one.memory:.2f}")
    return table


def streams_table(result: BenchResult) -> Table:
    """Streams that each contender sustains, the rule below."""
    rates = list(next(iter(result.streams.values())))
    title = "streams sustained on this machine"
    table = _table(title, "", *(f"{fps} fps" for fps in rates), caption=STREAMS_RULE)
    for name, streams in result.streams.items():
        table.add_row(name, *(str(streams[fps]) for fps in rates))
    return table


def prediction_tables(predictions: Sequence[Prediction]) -> Iterator[Table]:
    """Floors of cards that are not here, a table for each way of computing; then their sources.

    Stages are rows and cards columns where there are few, the frame alone where there are many.
    """
    for types in dict.fromkeys(found.precision for found in predictions):
        title = f"PREDICTION from datasheets, not measured ({types}): least ms"
        chosen = [found for found in predictions if found.precision == types]
        yield _stages_of(title, chosen) if len(chosen) <= WIDE_CARDS else _frames_of(title, chosen)
    yield _sources(list({found.card.name: found.card for found in predictions}.values()))


def _stages_of(title: str, chosen: Sequence[Prediction]) -> Table:
    caption = "m: set by memory traffic, all others by arithmetic"
    table = _table(title, "stage", *(one.card.name for one in chosen), caption=caption)
    for index, stage in enumerate(chosen[0].stages):
        floors = [one.stages[index] for one in chosen]
        marks = (f"{f.ms:.2f}{'' if f.bound_by == 'arithmetic' else ' m'}" for f in floors)
        table.add_row(stage.stage, *marks)
    table.add_section()
    table.add_row("frame", *(f"{one.frame_ms:.2f}" for one in chosen))
    table.add_row("fps at most", *(f"{1e3 / one.frame_ms:.0f}" for one in chosen))
    return table


def _frames_of(title: str, chosen: Sequence[Prediction]) -> Table:
    table = _table(title, "card", "frame ms", "fps at most", "by memory", "longest stage")
    for one in chosen:
        traffic = sum(stage.ms for stage in one.stages if stage.bound_by == "memory")
        longest = max(one.stages, key=lambda stage: stage.ms)
        last = f"{longest.stage} {longest.ms:.2f}"
        share = f"{traffic / one.frame_ms:.0%}"
        table.add_row(
            one.card.name, f"{one.frame_ms:.2f}", f"{1e3 / one.frame_ms:.0f}", share, last
        )
    return table


def _sources(cards: Sequence[DatasheetCard]) -> Table:
    title = "dense TFLOP/s by the sheets; fp16, TF32 and fp8 with float32 accumulation"
    table = _table(title, "card", "fp16", "TF32", "fp8", "fp32", "GB/s", "source")
    for card in cards:
        tensor = (card.fp16_tflop_s, card.tf32_tflop_s, card.fp8_tflop_s, card.fp32_tflop_s)
        rates = (f"{rate:g}" if rate else "-" for rate in (*tensor, card.gb_s))
        table.add_row(card.name, *rates, card.source)
    return table


def _table(title: str, first: str, *columns: str, caption: str | None = None) -> Table:
    table = Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        min_width=min(len(title) + 1, 78),  # else the title is broken at the width of the columns
    )
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="left" if column == "source" else "right")
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
