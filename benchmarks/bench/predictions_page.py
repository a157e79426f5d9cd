"""Floors of cards that are not here, as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from keeprt.benchmarks import report as r
from keeprt.benchmarks.bench.hardware.cards import Prediction
from keeprt.benchmarks.bench.page import Cell, Columns


def write_predictions(found: Sequence[Prediction], path: Path, command: str) -> None:
    """Writes a page of floors of cards that are not here. Raises as `write_page`."""
    sections = []
    for types in dict.fromkeys(one.precision for one in found):
        chosen = [one for one in found if one.precision == types]
        stages = [r.Column(stage.stage, "ms", digits=2) for stage in chosen[0].stages]
        columns: Columns = ["card", *stages, r.Column("frame", "ms", digits=2)]
        rows: list[list[Cell]] = [
            [one.card.name, *(stage.ms for stage in one.stages), one.frame_ms] for one in chosen
        ]
        sections.append(r.Section(f"Floors in {types}", [r.Table(columns, rows)]))
    cards = {one.card.name: one.card for one in found}.values()
    sources: list[list[Cell]] = [
        [c.name, *(rate or None for rate in (c.fp16_tflop_s, c.tf32_tflop_s, c.fp8_tflop_s)),
         c.fp32_tflop_s, c.gb_s, c.source]
        for c in cards
    ]  # fmt: skip
    heads = [r.Column(name, "TFLOP/s") for name in ("fp16", "TF32", "fp8", "fp32")]
    table = r.Table(["card", *heads, r.Column("memory", "GB/s"), "source"], sources)
    sections.append(r.Section("Datasheets", [table]))
    report = r.Report(
        "Predicted floors of a bundle",
        sections,
        subtitle="PREDICTION from datasheets, not measured: the least time of a frame",
        facts=[("command", f"`{command}`"), ("date", date.today().isoformat())],
    )
    r.write_report(report, path)
