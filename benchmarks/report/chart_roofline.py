"""The roofline: achieved GFLOP/s against FLOP per byte, below what each machine allows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.transforms import Bbox

from keeprt.benchmarks.report.blocks import Roof, Roofline, RooflinePoint
from keeprt.benchmarks.report.canvas import (
    Canvas,
    Layout,
    LegendEntry,
    name_axes,
    open_canvas,
    scale_axis,
)
from keeprt.benchmarks.report.colours import light, series_colour
from keeprt.benchmarks.report.numbers import format_number

_ROOF_DASHES = ("", "6 3", "2 2", "8 2 2 2")
_PLACES = [(7, 0, "left"), (-7, 0, "right"), (0, 11, "center"), (0, -11, "center")]
_PLACES += [(x, y, side) for y in (10, -10, 20, -20) for x, side in ((6, "left"), (-6, "right"))]


def draw_roofline(chart: Roofline, layout: Layout) -> Canvas:
    """The chart in one layout; names stand where they do not hide each other."""
    canvas = open_canvas(layout, layout.height + 60)
    points = [point for point in chart.points if point.flop_per_byte > 0 and point.gflop_s > 0]
    low, high = _span(points, chart.roofs)
    for index, roof in enumerate(chart.roofs):
        _draw_roof(canvas, roof, _ROOF_DASHES[index % len(_ROOF_DASHES)], low, high)
    groups = _groups(chart)
    for point in points:
        _draw_point(canvas, point, series_colour(groups.index(point.group)))
    canvas.axes.set_xlim(low, high)
    rates = [point.gflop_s for point in points] + [roof.gflop_s for roof in chart.roofs]
    canvas.axes.set_ylim(min(rates, default=1) / 2.5, max(rates, default=1) * 1.6)
    for axis in "xy":
        scale_axis(canvas, axis, log=True)
    canvas.axes.grid(True, axis="both")
    name_axes(canvas, "FLOP per byte", "GFLOP/s")
    _name_points(canvas, points)
    return canvas


def roofline_legend(chart: Roofline) -> list[LegendEntry]:
    """The roofs, and the groups where they have names."""
    roofs = [
        LegendEntry(
            f"{roof.name}: {format_number(round(roof.gflop_s, 1), 0)} GFLOP/s, "
            f"{format_number(roof.gb_s, 1)} GB/s",
            "muted",
            _ROOF_DASHES[index % len(_ROOF_DASHES)],
        )
        for index, roof in enumerate(chart.roofs)
    ]
    return roofs + [
        LegendEntry(group, series_colour(index), shape="dot")
        for index, group in enumerate(_groups(chart))
        if group
    ]


def _groups(chart: Roofline) -> list[str]:
    return list(dict.fromkeys(point.group for point in chart.points))


def _span(points: list[RooflinePoint], roofs: Sequence[Roof]) -> tuple[float, float]:
    """Lowest and highest intensity: all points, and the ridge of every roof."""
    known = [point.flop_per_byte for point in points]
    known += [roof.gflop_s / roof.gb_s for roof in roofs] or [1.0]
    return min(known) / 3, max(known) * 4


def _draw_roof(canvas: Canvas, roof: Roof, dashes: str, low: float, high: float) -> None:
    x = np.array([low, roof.gflop_s / roof.gb_s, high])
    (line,) = canvas.axes.plot(
        x,
        np.minimum(roof.gflop_s, x * roof.gb_s),
        color=light("muted"),
        lw=1.8,
        linestyle=(0, tuple(map(float, dashes.split()))) if dashes else "solid",
    )
    canvas.tell(line, f"{roof.name}: {roof.gflop_s:,.0f} GFLOP/s, {roof.gb_s:,.1f} GB/s")


def _draw_point(canvas: Canvas, point: RooflinePoint, colour: str) -> None:
    (dot,) = canvas.axes.plot(
        point.flop_per_byte, point.gflop_s, "o", ms=7.5, color=light(colour), clip_on=False
    )
    name = f"{point.name}, {point.group}" if point.group else point.name
    canvas.tell(
        dot,
        f"{name}: {format_number(point.gflop_s)} GFLOP/s at "
        f"{format_number(point.flop_per_byte)} FLOP per byte",
    )


def _name_points(canvas: Canvas, points: list[RooflinePoint]) -> None:
    """Greedy: each name takes the first place around its point that is free and inside."""
    canvas.figure.draw_without_rendering()
    inside = canvas.axes.get_window_extent()
    where = canvas.axes.transData.transform(
        [(point.flop_per_byte, point.gflop_s) for point in points] or np.empty((0, 2))
    )
    taken = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in where]
    for index, point in enumerate(points):
        others = taken[:index] + taken[index + 1 :]
        boxes = [(place, _box(place, where[index], point.name)) for place in _PLACES]
        free = [
            (place, box)
            for place, box in boxes
            if not box.count_overlaps(others) and inside.x0 < box.x0 and box.x1 < inside.x1
        ]
        if not free:
            continue
        (x, y, side), box = free[0]
        taken.append(box)
        canvas.axes.annotate(
            point.name,
            (point.flop_per_byte, point.gflop_s),
            xytext=(x, y),
            textcoords="offset points",
            ha=side,
            va="center_baseline",
            fontsize=11,
        )


def _box(place: tuple[int, int, str], point: tuple[float, float], name: str) -> Bbox:
    width = 6.4 * len(name)
    left = {"left": 0.0, "right": -width, "center": -width / 2}[place[2]]
    return Bbox.from_bounds(point[0] + place[0] + left, point[1] + place[1] - 6, width, 12)
