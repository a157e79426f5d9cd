"""A run of `--scenario live` on the console and as one HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TypeAlias

from rich import box
from rich.table import Table

from keeprt.benchmarks import report as r
from keeprt.benchmarks.bench.hardware.machine import machine_rows
from keeprt.benchmarks.bench.on_air.run import RULE, LiveResult, Trial
from keeprt.benchmarks.bench.scenarios import SCENARIOS

Cell: TypeAlias = "str | int | float | r.Cell | None"
FIGURES = ("restored late", "other", "delay p50", "delay p99", "tick p99", "memory")


def live_tables(result: LiveResult) -> Iterator[Table]:
    """For the console."""
    title = f"streams that are restored on air: {_what(result)}"
    table = _table(title, "frames a second", "streams", caption=RULE)
    for one in result.rates:
        table.add_row(one.name, str(one.sustained))
    yield table
    title = "what was tried, and the figures of the stream that missed most"
    table = _table(title, "fps", "streams", "missed", *FIGURES)
    for one in result.rates:
        for trial in one.trials:
            worst = trial.worst
            said = f"{worst.missed} of {worst.ticks}{'' if trial.holds else ', too many'}"
            table.add_row(one.name, str(len(trial.streams)), said, *_figures(trial))
    yield table


def _table(title: str, *columns: str, caption: str | None = None) -> Table:
    table = Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        min_width=78,
    )
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _figures(trial: Trial) -> list[str]:
    worst = trial.worst
    late = worst.originals.get("late", 0)
    memory = sum(one.wire_bytes + one.restorer_bytes for one in trial.streams)
    times = (worst.delay_p50_ms, worst.delay_p99_ms, worst.jitter_p99_ms)
    return [
        f"{late}",
        f"{worst.missed - late}",
        *(f"{value:.1f} ms" for value in times),
        f"{memory / 1e6:.0f} MB",
    ]


def _what(result: LiveResult) -> str:
    options = result.options
    return f"{options.size[0]}x{options.size[1]}, one face, {options.delay} declared"


def write_live_page(result: LiveResult, path: Path) -> None:
    """Writes the page, whole or not at all. Raises UsageError or MediaError."""
    shown = [r.Highlight(f"streams at {one.name} fps", one.sustained) for one in result.rates]
    load = result.load
    warnings = [load.warning()] if load and load.warning() else []
    if not result.complete:
        warnings.append("this run was interrupted: some rates are missing")
    notes = [r.Text(f"Warning: {text}.", tone="note") for text in warnings]
    page = r.Report(
        "Streams on air",
        [_tried(result)],
        subtitle=f"{_what(result)}, {result.options.frames} ticks of each stream",
        facts=_facts(result),
        summary=[*notes, r.Highlights(shown)],
    )
    r.write_report(page, path)


def _tried(result: LiveResult) -> r.Section:
    columns: list[str | r.Column] = [
        r.Column("fps", numeric=True),
        r.Column("streams", digits=0),
        r.Column("missed", numeric=True),
        *(r.Column(name, numeric=True) for name in FIGURES),
    ]
    rows: list[list[Cell]] = [
        [
            one.name,
            len(trial.streams),
            r.Cell(
                f"{trial.worst.missed} of {trial.worst.ticks}",
                status="good" if trial.holds else "bad",
            ),
            *_figures(trial),
        ]
        for one in result.rates
        for trial in one.trials
    ]
    caption = (
        "Figures of the stream that missed most; memory of all streams. Restored late: the "
        "original was on air. Other: repeated, left out, or no restorer."
    )
    table = r.Table(columns, rows, caption=caption)
    return r.Section("What was tried", [table], intro=f"Streams at once: {RULE}.")


def _facts(result: LiveResult) -> list[tuple[str, str]]:
    return [
        *machine_rows(result.machine),
        *((f"bundle {name}", value[:16]) for name, value in result.bundle.items()),
        *([("other load", result.load.statement())] if result.load else []),
        ("scenario", SCENARIOS["live"].statement()),
        ("command", f"`{result.options.command}`"),
        ("date", date.today().isoformat()),
    ]
