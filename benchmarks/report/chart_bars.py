"""Horizontal bars: several series beside each other, or stacked into one bar per category."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from keeprt.benchmarks.report.blocks import BarChart, Bars
from keeprt.benchmarks.report.canvas import (
    Canvas,
    Layout,
    LegendEntry,
    name_axes,
    open_canvas,
    scale_axis,
    shorten,
)
from keeprt.benchmarks.report.colours import light, series_colour
from keeprt.benchmarks.report.numbers import NOTHING, format_number

Values: TypeAlias = NDArray[np.floating]
_NAME_LENGTH = {"wide": 34, "narrow": 16}


def draw_bars(chart: BarChart, layout: Layout) -> Canvas:
    """The chart in one layout, as high as its bars need."""
    side_by_side = 1 if chart.stacked else max(1, len(chart.bars))
    row = 12 + max(18 * side_by_side, 20)
    canvas = open_canvas(layout, 74 + row * max(1, len(chart.categories)))
    base = np.zeros(len(chart.categories))
    for index, bars in enumerate(chart.bars):
        values = np.nan_to_num(np.asarray(bars.values, float), posinf=0, neginf=0)
        place = 0.0 if chart.stacked else (index - (side_by_side - 1) / 2) * 18 / row
        _draw_series(canvas, chart, index, values, base, place, 16 / row)
        if chart.stacked:
            base = base + values
    _finish(canvas, chart)
    return canvas


def bar_legend(chart: BarChart) -> list[LegendEntry]:
    """Names of the series, where there is more than one."""
    if len(chart.bars) < 2:
        return []
    return [
        LegendEntry(bars.name, series_colour(index), shape="box")
        for index, bars in enumerate(chart.bars)
    ]


def _draw_series(
    canvas: Canvas,
    chart: BarChart,
    index: int,
    values: Values,
    base: Values,
    place: float,
    height: float,
) -> None:
    rows = np.arange(len(values)) + place
    bars = canvas.axes.barh(
        rows,
        values,
        height,
        base if chart.stacked else None,
        color=light(series_colour(index)),
        edgecolor=light("page"),
        lw=0.8 if chart.stacked else 0,
    )
    series = chart.bars[index]
    texts = [_text(value, chart.digits) for value in np.asarray(series.values, float)]
    for bar, category, text in zip(bars, chart.categories, texts, strict=True):
        name = f"{category}, {series.name}" if series.name else category
        canvas.tell(bar, f"{name}: {text} {chart.unit}")
    ends = _draw_span(canvas, series, rows, values)
    if not chart.stacked:
        for row, end, text in zip(rows, ends, texts, strict=True):
            _write_value(canvas, text, float(end), float(row))


def _draw_span(canvas: Canvas, series: Bars, rows: Values, values: Values) -> Values:
    """Draws the spans, and gives where the values can be written without being crossed."""
    if series.low is None or series.high is None:
        return np.maximum(values, 0)
    low, high = np.asarray(series.low, float), np.asarray(series.high, float)
    canvas.axes.hlines(rows, low, high, color=light("ink"), lw=1.2)
    ends: Values = np.maximum(np.fmax(values, high), 0)
    return ends


def _write_value(canvas: Canvas, text: str, end: float, row: float) -> None:
    canvas.axes.annotate(
        text,
        (end, row),
        xytext=(5, 0),
        textcoords="offset points",
        va="center_baseline",
        fontsize=11,
        in_layout=False,
        color=light("ink"),
    )


def _finish(canvas: Canvas, chart: BarChart) -> None:
    axes = canvas.axes
    length = _NAME_LENGTH[canvas.layout.name]
    axes.set_yticks(
        range(len(chart.categories)), [shorten(name, length) for name in chart.categories]
    )
    axes.tick_params(axis="y", labelcolor=light("ink"))
    axes.set_ylim(max(1, len(chart.categories)) - 0.5, -0.5)
    if chart.stacked:
        _write_totals(canvas, chart)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0), high * (1.08 if canvas.layout.name == "wide" else 1.2))
    axes.grid(False, axis="y")
    axes.grid(True, axis="x")
    axes.spines["bottom"].set_visible(False)
    axes.axvline(0, color=light("muted"), lw=0.8)
    scale_axis(canvas, "x", log=False)
    name_axes(canvas, "", chart.unit)


def _write_totals(canvas: Canvas, chart: BarChart) -> None:
    totals = np.nansum([np.asarray(bars.values, float) for bars in chart.bars], axis=0)
    for row, total in enumerate(np.atleast_1d(totals).tolist()):
        _write_value(canvas, _text(total, chart.digits), total, row)


def _text(value: float, digits: int | None) -> str:
    return format_number(float(value), digits) if np.isfinite(value) else NOTHING
