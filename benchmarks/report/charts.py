"""From a chart of the report to the HTML of its layouts and the entries of its legend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import matplotlib

from keeprt.benchmarks.report.blocks import BarChart, Histogram, LineChart, Roofline
from keeprt.benchmarks.report.canvas import LAYOUTS, Canvas, Layout, LegendEntry, house_style
from keeprt.benchmarks.report.chart_bars import bar_legend, draw_bars
from keeprt.benchmarks.report.chart_histogram import draw_histogram, hidden_samples
from keeprt.benchmarks.report.chart_lines import draw_lines, hidden_values, line_legend
from keeprt.benchmarks.report.chart_roofline import draw_roofline, roofline_legend

Chart: TypeAlias = "LineChart | Histogram | BarChart | Roofline"
CHARTS = (LineChart, Histogram, BarChart, Roofline)


@dataclass(frozen=True)
class DrawnChart:
    """One SVG per layout, by its name; the legend; and how many values could not be drawn."""

    svgs: dict[str, str]
    legend: list[LegendEntry]
    hidden: int


def draw(chart: Chart, number: int) -> DrawnChart:
    """Draws a chart; `number` tells it apart from the others of the page."""
    drawer: dict[type, Callable[[Any, Layout], Canvas]] = {
        LineChart: draw_lines,
        Histogram: draw_histogram,
        BarChart: draw_bars,
        Roofline: draw_roofline,
    }
    svgs = {}
    for layout in LAYOUTS:
        with matplotlib.rc_context(house_style()):
            canvas = drawer[type(chart)](chart, layout)
            svgs[layout.name] = canvas.svg(f"c{number}{layout.name[0]}-", chart.title or "chart")
    return DrawnChart(svgs, _legend(chart), _hidden(chart))


def _legend(chart: Chart) -> list[LegendEntry]:
    if isinstance(chart, LineChart):
        return line_legend(chart)
    if isinstance(chart, BarChart):
        return bar_legend(chart)
    return roofline_legend(chart) if isinstance(chart, Roofline) else []


def _hidden(chart: Chart) -> int:
    if isinstance(chart, LineChart):
        return hidden_values(chart)
    return hidden_samples(chart) if isinstance(chart, Histogram) else 0
