"""The run as one HTML page: tables, histogram, timeline, roofline, rivals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TypeAlias

from keeprt.benchmarks import report as r
from keeprt.benchmarks.bench.harness import describe
from keeprt.benchmarks.bench.results import BenchResult, CaseResult, ContenderResult
from keeprt.benchmarks.bench.summary import STREAMS_RULE
from keeprt.benchmarks.bench.tables import call_of, stage_ms, stage_names

Cell: TypeAlias = "str | int | float | r.Cell | None"
Columns: TypeAlias = "list[str | r.Column]"

FLOOR_NOTE = (
    "The floor is max(FLOP / matrix-product rate, bytes that must move / copy rate), both rates "
    "the best that were measured on this machine between the rounds. Bytes that must move are the "
    "weights, inputs and outputs of a stage, each once; unfused is the sum over all nodes of its "
    "graph."
)
COLD_NOTE = (
    "Every contender runs in a process of its own: loading includes its libraries, and peak "
    "memory is its alone. The warm-up is what it takes until frames are steady."
)


def write_page(result: BenchResult, path: Path, day: date | None = None) -> None:
    """Writes the page, whole or not at all. Raises UsageError or MediaError."""
    r.write_report(bench_report(result, day or date.today()), path)


def bench_report(result: BenchResult, day: date) -> r.Report:
    """The page's content."""
    facts = [
        *result.machine.items(),
        *((f"bundle {name}", _code(name, value)) for name, value in result.bundle.items()),
        ("command", f"`{result.command}`"),
        ("date", day.isoformat()),
    ]
    sections = [section for case in result.cases for section in _sections(case)]
    if result.streams:
        sections.append(_streams(result))
    return r.Report(
        "Speed of a bundle",
        sections,
        subtitle="Throughput, latency and memory beside rivals in the same run, and the distance "
        "from what this machine can do at most",
        facts=facts,
        summary=list(_summary(result)),
    )


def _summary(result: BenchResult) -> Iterator[r.Highlights | r.Text]:
    case = result.cases[0]
    ours = case.contenders[0]
    if ours.call_ms is None:
        yield r.Text(f"{ours.name} failed: {ours.failure}", tone="note")
        return
    p99 = f"p99 is {ours.call_ms.p99 / 1e3:.3f} s of {ours.call_ms.count}"
    shown = [
        r.Highlight(f"{call_of(case)}, median", ours.call_ms.p50 / 1e3, "s", p99, digits=3),
        r.Highlight("faces per second", ours.faces_per_s, "", describe(case.case), digits=3),
    ]
    if ours.whole is not None:
        floor = ours.whole.times_floor
        shown.append(r.Highlight("times the floor", floor, "", "of this machine", digits=2))
    for rival in case.contenders[1:]:
        if rival.call_ms is not None:
            ratio = rival.call_ms.p50 / ours.call_ms.p50
            shown.append(r.Highlight(f"{rival.name} takes", ratio, "times ours", digits=2))
    yield r.Highlights(shown)
    if result.bundle.get("weights", "").startswith("synthetic:"):
        yield r.Text(
            "The weights are synthetic: they take the same time as real ones, and the pictures "
            "mean nothing.",
            tone="note",
        )


def _sections(case: CaseResult) -> Iterator[r.Section]:
    name = describe(case.case)
    blocks: list[r.Block] = [_latency(case), _cold(case)]
    measured = [found for found in case.contenders if found.call_ms is not None]
    if measured:
        blocks += _charts(case, measured)
    yield r.Section(f"{name[0].upper()}{name[1:]}", blocks)
    if case.contenders[0].whole is not None:
        yield r.Section(f"Physics: {name}", _physics(case), intro=FLOOR_NOTE)


def _latency(case: CaseResult) -> r.Table:
    ms = [r.Column(name, "ms", digits=1) for name in ("p50", "p90", "p99", "max", "jitter")]
    columns: Columns = ["", *ms, r.Column("calls"), r.Column("throughput", "faces/s", digits=3)]
    rows: list[list[Cell]] = [[found.name, *_latency_cells(found)] for found in case.contenders]
    caption = "Percentiles are samples; below 100 calls p99 is the largest. Jitter is the mean "
    caption += "difference of neighbouring calls."
    return r.Table(columns, rows, title=f"Warm time of a {call_of(case)}", caption=caption)


def _latency_cells(found: ContenderResult) -> list[Cell]:
    ms = found.call_ms
    if ms is None:
        failed = r.Cell(None, status="bad", note=found.failure)
        return [failed, None, None, None, None, None, None]
    return [ms.p50, ms.p90, ms.p99, ms.max, ms.jitter, ms.count, found.faces_per_s]


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
    ours = measured[0]
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
            title="Stages of a frame, median",
            caption="The reference computes the flow's features of both frames in one stage; for "
            "the others that bar is the sum of its two parts.",
        ),
        _histogram(case, ours, calls[ours.name]),
        r.timeline(dict(calls), "ms", title=f"Time of each {call_of(case)}, round after round"),
        r.timeline(
            {found.name: found.resident_mb for found in measured},
            "MB",
            title=f"Resident memory after each {call_of(case)}",
        ),
    ]


def _histogram(case: CaseResult, ours: ContenderResult, calls_ms: list[float]) -> r.Histogram:
    # Its own marks would be interpolated percentiles; those of the table are samples.
    ms = ours.call_ms
    caption = f"p50 {ms.p50:.1f} ms, p90 {ms.p90:.1f} ms, p99 {ms.p99:.1f} ms." if ms else ""
    title = f"{ours.name}: time of a {call_of(case)}"
    return r.Histogram(calls_ms, "ms", title=title, caption=caption, percentiles=())


def _physics(case: CaseResult) -> list[r.Block]:
    ours = case.contenders[0]
    shown = [(stage.stage, stage.physics) for stage in ours.stages]
    points = [
        r.RooflinePoint(name, p.flop_per_byte, p.gflop_s, group=ours.name)
        for name, p in shown
        if p is not None and p.gflop
    ]
    columns: Columns = [
        "stage",
        r.Column("work", "GFLOP", digits=2),
        r.Column("must move", "MB", digits=0),
        r.Column("unfused", "MB", digits=0),
        r.Column("achieved", "GFLOP/s", digits=1),
        r.Column("achieved", "GB/s", digits=2),
        r.Column("intensity", "FLOP/B", digits=0),
        r.Column("floor", "ms", digits=2),
        r.Column("times the floor", digits=2),
    ]
    rows: list[list[Cell]] = [
        [name, p.gflop, p.must_move_mb, p.unfused_mb, p.gflop_s, p.gb_s, p.flop_per_byte,
         p.floor_ms, p.times_floor]
        for name, p in [*shown, ("whole frame", ours.whole)]
        if p is not None
    ]  # fmt: skip
    roof = r.Roof("this machine", case.rates.gflop_s, case.rates.gb_s)
    caption = f"Matrix products at {case.rates.gflop_s:.0f} GFLOP/s (float32, ONNX Runtime), "
    caption += f"copies at {case.rates.gb_s:.1f} GB/s read and written; medians of "
    caption += f"{len(case.rate_samples)} measurements between the rounds."
    return [r.Table(columns, rows, caption=caption), r.Roofline(points, [roof])]


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
