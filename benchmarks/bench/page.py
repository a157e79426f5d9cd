"""The run as one HTML page: tables, histogram, timeline, roofline, rivals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TypeAlias

from keeprt.benchmarks import report as r
from keeprt.benchmarks.bench.card_times import page_table
from keeprt.benchmarks.bench.comparison import RULE, Comparison
from keeprt.benchmarks.bench.hardware.machine import machine_rows
from keeprt.benchmarks.bench.hardware.rates import Rates, rates_in_words
from keeprt.benchmarks.bench.harness import describe
from keeprt.benchmarks.bench.results import (
    WHOLE,
    BenchResult,
    CaseResult,
    ContenderResult,
    physics_rows,
)
from keeprt.benchmarks.bench.summary import STREAMS_RULE
from keeprt.benchmarks.bench.tables import call_of, stage_ms, stage_names

Cell: TypeAlias = "str | int | float | r.Cell | None"
Columns: TypeAlias = "list[str | r.Column]"

FLOOR_NOTE = (
    "The floor is max(FLOP / matrix-product rate of its type, bytes that must move / copy rate); "
    "that of a whole frame is the sum, which only overlapping stages can be below. Bytes that must "
    "move are the weights, inputs and outputs of a stage, each once; unfused is the sum over all "
    "nodes of its graph."
)
COLD_NOTE = (
    "Every contender runs in a process of its own: loading includes its libraries, and peak "
    "memory is its alone. The warm-up is what it takes until frames are steady."
)


def write_page(
    result: BenchResult,
    path: Path,
    day: date | None = None,
    comparison: Comparison | None = None,
) -> None:
    """Writes the page, whole or not at all. Raises UsageError or MediaError."""
    if day is None:
        day = date.fromisoformat(result.date[:10]) if result.date else date.today()
    r.write_report(bench_report(result, day, comparison), path)


def bench_report(result: BenchResult, day: date, comparison: Comparison | None = None) -> r.Report:
    """The page's content."""
    facts = [
        *machine_rows(result.machine),
        *((f"bundle {name}", _code(name, value)) for name, value in result.bundle.items()),
        ("command", f"`{result.command}`"),
        ("date", day.isoformat()),
        *([("scenario", result.scenario)] if result.scenario else []),
        *([("other load", result.load.statement())] if result.load else []),
    ]
    sections = [section for case in result.cases for section in _sections(case)]
    if result.streams:
        sections.append(_streams(result))
    verdict: list[r.Block] = []
    if comparison is not None:
        verdict = [r.Verdict(not comparison.worse, comparison.headline())]
        sections.insert(0, _against(comparison))
    return r.Report(
        "Speed of a bundle",
        sections,
        subtitle="Throughput, latency and memory beside rivals in the same run, and the distance "
        "from the least time that is possible here",
        facts=facts,
        summary=[*verdict, *_summary(result)],
    )


def _against(comparison: Comparison) -> r.Section:
    columns: Columns = [
        "case",
        "contender",
        r.Column("before", "ms", digits=1),
        r.Column("now", "ms", digits=1),
        r.Column("as measured", "now by before", digits=3),
        r.Column("compared", "now by before", numeric=True),
        r.Column("memory", "now by before", digits=2),
        "verdict",
    ]
    rows: list[list[Cell]] = [
        [
            one.case,
            one.contender,
            one.before_ms,
            one.now_ms,
            one.raw,
            str(one.time or ""),
            one.memory,
            r.Cell("worse", status="bad", note=one.words)
            if one.words
            else r.Cell("faster" if one.is_faster else "equal", status="good"),
        ]
        for one in comparison.changes
    ]
    notes = r.Text("\n\n".join(f"{note[0].upper()}{note[1:]}." for note in comparison.notes))
    return r.Section("Against the baseline", [r.Table(columns, rows), notes], intro=f"{RULE}.")


def _summary(result: BenchResult) -> Iterator[r.Highlights | r.Text]:
    if not result.complete:
        yield r.Text("This run was interrupted: some rounds or cases are missing.", tone="note")
    case = result.cases[0]
    ours = case.contenders[0]
    if ours.call_ms is None:
        yield r.Text(f"{ours.name} failed: {ours.failure}", tone="note")
        return
    for warning in result.warnings:
        yield r.Text(f"Warning: {warning}.", tone="note")
    p99 = f"p99 is {ours.call_ms.p99 / 1e3:.3f} s of {ours.call_ms.count}"
    shown = [
        r.Highlight(f"{call_of(case)}, median", ours.call_ms.p50 / 1e3, "s", p99, digits=3),
        r.Highlight("faces per second", ours.faces_per_s, "", describe(case.case), digits=3),
    ]
    if ours.whole is not None:
        floor = ours.whole.times_floor
        of = case.rates.of + (", by its datasheet" if case.rates.sheet else "")
        shown.append(r.Highlight("times the floor", floor, "", f"of {of}", digits=2))
    for rival in case.contenders[1:]:
        if rival.call_ms is not None:
            ratio = rival.call_ms.p50 / ours.call_ms.p50
            note = str(rival.times_ours or "")
            shown.append(r.Highlight(f"{rival.name} takes", ratio, "times ours", note, digits=2))
    yield r.Highlights(shown)
    if result.bundle.get("weights", "").startswith("synthetic:"):
        yield r.Text(
            "The weights are synthetic: they take the same time as real ones, and the pictures "
            "mean nothing.",
            tone="note",
        )


def _sections(case: CaseResult) -> Iterator[r.Section]:
    name = describe(case.case)
    cold = case.case.scenario == "cold"
    blocks: list[r.Block] = [_latency(case), *([] if cold else [_cold(case)])]
    blocks += [page_table(one.name, one.card) for one in case.contenders if one.card is not None]
    measured = [found for found in case.contenders if found.call_ms is not None]
    if measured:
        blocks += _charts(case, measured)
    yield r.Section(f"{name[0].upper()}{name[1:]}", blocks)
    if case.contenders[0].whole is not None:
        yield r.Section(f"Physics: {name}", _physics(case), intro=FLOOR_NOTE)


def _latency(case: CaseResult) -> r.Table:
    names = ("median", "p90", "p99", "p99.9", "max", "jitter")
    ms = [r.Column(name, "ms", digits=1) for name in names]
    columns: Columns = ["", *ms, r.Column("CV", "%", digits=1), r.Column("calls"),
                        r.Column("throughput", "faces/s", digits=3),
                        r.Column("times ours", numeric=True)]  # fmt: skip
    rows: list[list[Cell]] = [[found.name, *_latency_cells(found)] for found in case.contenders]
    cold = case.case.scenario == "cold"
    caption = "Percentiles as trtexec has them: the P % one leaves out the (100 - P) % largest "
    caption += "samples, so that below 100 calls p99 is the largest. CV: coefficient of variation, "
    caption += "marked above 2.5 %. Jitter: mean difference of neighbouring calls of a round. "
    caption += "Times ours: ratio of medians with its 95 % bootstrap interval."
    return r.Table(
        columns,
        rows,
        title=f"{'Time' if cold else 'Warm time'} of a {call_of(case)}",
        caption=caption,
    )


def _latency_cells(found: ContenderResult) -> list[Cell]:
    ms = found.call_ms
    if ms is None:
        failed = r.Cell(None, status="bad", note=found.failure)
        return [failed, *[None] * 9]
    times = (ms.p50, ms.p90, ms.p99, ms.p999, ms.max, ms.jitter)
    ratio = None if found.times_ours is None else str(found.times_ours)
    cv = r.Cell(ms.cv, status="bad", note=ms.unstable) if ms.unstable else ms.cv
    return [*times, cv, ms.count, found.faces_per_s, ratio]


def _cold(case: CaseResult) -> r.Table:
    times = [r.Column(n, "s", digits=2) for n in ("load", f"first {call_of(case)}", "warm-up")]
    columns: Columns = ["", *times, r.Column("peak memory", "MB", digits=0)]
    rows: list[list[Cell]] = []
    for found in case.contenders:
        cold = found.cold
        values = (cold.load_s, cold.first_s, cold.settle_s) if cold else (None, None, None)
        rows.append([found.name, *values, found.peak_memory_mb or None])
    return r.Table(columns, rows, title="Cold start and memory", caption=COLD_NOTE)


def _charts(case: CaseResult, measured: list[ContenderResult]) -> list[r.Block]:
    ours, cold = measured[0], case.case.scenario == "cold"
    stages = stage_names(measured)
    calls = {found.name: [ms for round_ in found.rounds_ms for ms in round_] for found in measured}
    return [
        r.BarChart(
            stages,
            [
                r.Bars(found.name, [_or_nan(stage_ms(found, stage)) for stage in stages])
                for found in measured
            ],
            "ms",
            title=f"Stages of a {'start' if cold else 'frame'}, median",
            caption="The reference computes the flow's features of both frames in one stage; for "
            "the others that bar is the sum of its two parts.",
        ),
        _histogram(case, ours, calls[ours.name]),
        r.timeline(
            dict(calls),
            "ms",
            title=f"Time of each {call_of(case)}, round after round",
            what=call_of(case),
        ),
        r.timeline(
            {found.name: found.resident_mb for found in measured},
            "MB",
            what=call_of(case),
            title=f"Resident memory after each {call_of(case)}",
        ),
    ]


def _histogram(case: CaseResult, ours: ContenderResult, calls_ms: list[float]) -> r.Histogram:
    # Its own marks would be interpolated percentiles; those of the table are samples.
    ms = ours.call_ms
    caption = f"Median {ms.p50:.1f} ms, p90 {ms.p90:.1f} ms, p99 {ms.p99:.1f} ms." if ms else ""
    title = f"{ours.name}: time of a {call_of(case)}"
    return r.Histogram(calls_ms, "ms", title=title, caption=caption, percentiles=())


def _physics(case: CaseResult) -> list[r.Block]:
    rates = case.rates
    ours = case.contenders[0]
    shown = list(physics_rows(ours))
    points = [
        r.RooflinePoint(name, p.flop_per_byte, p.gflop_s, group=ours.name)
        for name, p in shown
        if p.gflop and name != WHOLE
    ]
    columns: Columns = [
        "stage",
        r.Column("work", "GFLOP", digits=2),
        r.Column("must move", "MB", digits=1),
        r.Column("unfused", "MB", digits=1),
        r.Column("achieved", "GFLOP/s", digits=1),
        r.Column("achieved", "GB/s", digits=2),
        r.Column("intensity", "FLOP/B", digits=0),
        r.Column("floor", "ms", digits=2),
        r.Column("times the floor", digits=2),
    ]
    rows: list[list[Cell]] = [
        [name, p.gflop, p.must_move_mb, p.unfused_mb, p.gflop_s, p.gb_s, p.flop_per_byte,
         p.floor_ms, p.times_floor]
        for name, p in shown
    ]  # fmt: skip
    caption = f"{rates.of[0].upper()}{rates.of[1:]}: {rates_in_words(case.rate_samples)}."
    return [r.Table(columns, rows, caption=caption), r.Roofline(points, list(_roofs(rates)))]


def _roofs(rates: Rates) -> Iterator[r.Roof]:
    name = f"{rates.of}, by its datasheet" if rates.sheet else rates.of
    half = rates.half_gflop_s
    yield r.Roof(name if half is None else f"{name}, float32", rates.gflop_s, rates.gb_s)
    if half is not None:
        yield r.Roof(f"{name}, float16", half, rates.gb_s)


def _streams(result: BenchResult) -> r.Section:
    rates = list(next(iter(result.streams.values())))
    rows: list[list[Cell]] = [
        [name, *(streams[fps] for fps in rates)] for name, streams in result.streams.items()
    ]
    table = r.Table(["", *(r.Column(f"{fps} fps", digits=0) for fps in rates)], rows)
    return r.Section("Streams sustained", [table], intro=f"{STREAMS_RULE[0].upper()}"
                     f"{STREAMS_RULE[1:]}.")  # fmt: skip


def _code(name: str, value: str) -> str:
    return f"`{value[:16]}`" if name == "identity" else value


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
