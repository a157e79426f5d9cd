"""Lines over a common axis, with the levels that they are judged by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keeprt.benchmarks.report.blocks import LineChart
from keeprt.benchmarks.report.canvas import (
    POINTS_WITH_TITLES,
    Canvas,
    Layout,
    LegendEntry,
    name_axes,
    open_canvas,
    scale_axis,
)
from keeprt.benchmarks.report.colours import light, series_colour, series_dashes
from keeprt.benchmarks.report.numbers import format_number

VISIBLE_POINTS = 40
Values = NDArray[np.float64]


def draw_lines(chart: LineChart, layout: Layout) -> Canvas:
    """The chart in one layout."""
    canvas = open_canvas(layout)
    for index, (line, (x, y)) in enumerate(zip(chart.lines, _points(chart), strict=True)):
        _draw_line(canvas, index, line.name, x, y, chart)
    _draw_thresholds(canvas, chart)
    canvas.axes.margins(x=0.015, y=0.08)
    scale_axis(canvas, "x", chart.log_x)
    scale_axis(canvas, "y", _is_log_y(chart))
    name_axes(canvas, chart.x_label, chart.y_label)
    return canvas


def line_legend(chart: LineChart) -> list[LegendEntry]:
    """Names of the lines, where there is more than one or a name that says something."""
    if len(chart.lines) < 2:
        return []
    return [
        LegendEntry(line.name, series_colour(index), series_dashes(index))
        for index, line in enumerate(chart.lines)
    ]


def hidden_values(chart: LineChart) -> int:
    """How many values cannot be drawn: not finite, or not positive on a logarithmic axis."""
    return sum(int((~np.isfinite(y)).sum()) for _, y in _points(chart))


def _points(chart: LineChart) -> list[tuple[Values, Values]]:
    """x and y of each line, y not a number where it cannot be drawn."""
    log_y = _is_log_y(chart)
    points = []
    for line in chart.lines:
        x, y = np.asarray(line.x, np.float64), np.array(line.y, np.float64)
        shown = np.isfinite(x) & np.isfinite(y)
        shown &= (x > 0) if chart.log_x else True
        shown &= (y > 0) if log_y else True
        y[~shown] = np.nan
        points.append((x, y))
    return points


def _is_log_y(chart: LineChart) -> bool:
    """Errors that are all zero have no logarithm and are drawn as they are."""
    every = [np.asarray(line.y, np.float64) for line in chart.lines]
    return chart.log_y and any(bool((np.isfinite(y) & (y > 0)).any()) for y in every)


def _draw_line(
    canvas: Canvas, index: int, name: str, x: Values, y: Values, chart: LineChart
) -> None:
    colour, dashes = light(series_colour(index)), series_dashes(index)
    style = (0, tuple(map(float, dashes.split()))) if dashes else "solid"
    canvas.axes.plot(*thin(x, y, canvas.layout.width), color=colour, lw=1.6, linestyle=style)
    seen = np.isfinite(y)
    if seen.sum() > POINTS_WITH_TITLES or not seen.any():
        return
    quiet = bool(seen.sum() > VISIBLE_POINTS)
    (dots,) = canvas.axes.plot(
        x[seen], y[seen], "o", color=colour, ms=7 if quiet else 4, clip_on=False
    )
    label = f"{name}, " if name else ""
    canvas.tell(
        dots,
        *(
            f"{label}{chart.x_label} {format_number(_whole(a))}: {format_number(b)}"
            for a, b in zip(x[seen].tolist(), y[seen].tolist(), strict=True)
        ),
        quiet=quiet,
    )


def _draw_thresholds(canvas: Canvas, chart: LineChart) -> None:
    for threshold in chart.thresholds:
        canvas.axes.axhline(threshold.value, color=light("bad"), lw=1.1, dashes=(4, 3))
        canvas.axes.annotate(
            threshold.label,
            (1, threshold.value),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 4),
            textcoords="offset points",
            ha="right",
            fontsize=11,
            in_layout=False,
            color=light("bad"),
        )


def _whole(value: float) -> int | float:
    return int(value) if value == int(value) else value


def thin(x: Values, y: Values, columns: int) -> tuple[Values, Values]:
    """Lowest and highest value of each pixel column: what a line of very many points shows."""
    if len(x) <= 4 * columns:
        return x, y
    kept = []
    for part in np.array_split(np.arange(len(x)), columns):
        if np.isfinite(y[part]).any():
            kept += sorted({part[np.nanargmin(y[part])], part[np.nanargmax(y[part])]})
        else:
            kept.append(part[0])
    return x[kept], y[kept]
