"""How often each value occurs, with percentiles marked."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from keeprt.benchmarks.report.blocks import Histogram
from keeprt.benchmarks.report.canvas import Canvas, Layout, name_axes, open_canvas, scale_axis
from keeprt.benchmarks.report.colours import light
from keeprt.benchmarks.report.numbers import format_number

Values: TypeAlias = NDArray[np.float64]


def draw_histogram(chart: Histogram, layout: Layout) -> Canvas:
    """The chart in one layout."""
    canvas = open_canvas(layout, layout.height - 20)
    values = _finite(chart)
    counts, edges = np.histogram(values, bins=_bins(values, 48 if layout.name == "wide" else 28))
    bars = canvas.axes.bar(
        edges[:-1],
        counts,
        np.diff(edges),
        align="edge",
        color=light("series-1"),
        edgecolor=light("page"),
        lw=0.8,
    )
    for bar, count, low, high in zip(bars, counts, edges[:-1], edges[1:], strict=True):
        if count:
            span = f"{format_number(float(low))} to {format_number(float(high))} {chart.unit}"
            canvas.tell(bar, f"{span}: {count:,}")
        else:
            bar.remove()
    _mark_percentiles(canvas, chart, values, int(counts.max(initial=1)))
    scale_axis(canvas, "x", log=False)
    scale_axis(canvas, "y", log=False)
    canvas.axes.yaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
    name_axes(canvas, chart.unit, "count")
    return canvas


def hidden_samples(chart: Histogram) -> int:
    """How many values are not finite, and so are not counted."""
    return int(np.size(chart.values)) - len(_finite(chart))


def _finite(chart: Histogram) -> Values:
    values: Values = np.asarray(chart.values, np.float64).ravel()
    finite: Values = values[np.isfinite(values)]
    return finite


def _bins(values: Values, most: int) -> Values:
    """Edges after Freedman and Diaconis, at least 8 and at most `most` bins."""
    if not len(values) or np.ptp(values) == 0:
        return np.histogram_bin_edges(values, 1)
    quartiles = np.subtract(*np.percentile(values, [75, 25]))
    width = 2 * quartiles / np.cbrt(len(values))
    wanted = int(np.ptp(values) / width) if width else most
    return np.linspace(values.min(), values.max(), min(max(wanted, 8), most) + 1)


def _mark_percentiles(canvas: Canvas, chart: Histogram, values: Values, tallest: int) -> None:
    """Lines whose names stand at steps, so that close percentiles stay readable."""
    if not len(values):
        return
    step = 0.1 * tallest
    canvas.axes.set_ylim(0, tallest * 1.06 + step * len(chart.percentiles))
    right = float(values.max())
    middle = (float(values.min()) + right) / 2
    for index, percentile in enumerate(chart.percentiles):
        value = float(np.percentile(values, percentile))
        top = tallest + step * (len(chart.percentiles) - index)
        (line,) = canvas.axes.plot([value, value], [0, top], color=light("series-2"), lw=1.2)
        name = f"p{percentile:g}  {format_number(value)}"
        canvas.tell(line, f"{percentile:g} % of the values are at most {name.split()[1]}")
        canvas.axes.annotate(
            name,
            (value, top),
            xytext=(4 if value <= middle else -4, -9),
            textcoords="offset points",
            ha="left" if value <= middle else "right",
            fontsize=11,
            in_layout=False,
            color=light("ink"),
        )
