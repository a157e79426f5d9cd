"""The roofline: achieved GFLOP/s against FLOP per byte, below what each machine allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

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
Place: TypeAlias = "tuple[int, int, str]"
_PLACES: list[Place] = [(8, 0, "left"), (-8, 0, "right"), (0, 11, "center"), (0, -11, "center")]
_PLACES += [
    (sign * x, y, side)
    for y in (10, -10, 22, -22, 36, -36)
    for x in (7, 18)
    for sign, side in ((1, "left"), (-1, "right"))
]


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
    _name_points(canvas, chart, points)
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


def _name_points(canvas: Canvas, chart: Roofline, points: list[RooflinePoint]) -> None:
    """Greedy: each name takes the first place around its point that is free and inside.

    Where there is none it may cross a roof; where even that fails, the name is shown only when the
    point is pointed at.
    """
    canvas.figure.draw_without_rendering()
    transform = canvas.axes.transData.transform
    where = [transform((point.flop_per_byte, point.gflop_s)) for point in points]
    roofs = [_around(spot, 3) for roof in chart.roofs for spot in transform(_along(canvas, roof))]
    dots = [_around(spot, 9) for spot in where]
    names: list[Bbox] = []
    for point, spot in zip(points, where, strict=True):
        others = [*names, *(dot for dot in dots if not dot.contains(*spot))]
        boxes = [(place, _box(place, spot, point.name)) for place in _PLACES]
        found = _free(canvas, boxes, [*others, *roofs]) or _free(canvas, boxes, others)
        if found:
            names.append(found[1])
            _write_name(canvas, point, found[0])


def _free(
    canvas: Canvas, boxes: list[tuple[Place, Bbox]], others: list[Bbox]
) -> tuple[Place, Bbox] | None:
    inside = canvas.axes.get_window_extent()
    for place, box in boxes:
        fits = inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0
        if fits and box.y1 <= inside.y1 and not box.count_overlaps(others):
            return place, box
    return None


def _write_name(canvas: Canvas, point: RooflinePoint, place: Place) -> None:
    x, y, side = place
    far = abs(y) > 12
    canvas.axes.annotate(
        point.name,
        (point.flop_per_byte, point.gflop_s),
        xytext=(x, y),
        textcoords="offset points",
        ha=side,
        va="center_baseline",
        fontsize=11,
        in_layout=False,
        arrowprops={"arrowstyle": "-", "lw": 0.7, "color": light("muted")} if far else None,
    )


def _along(canvas: Canvas, roof: Roof) -> NDArray[np.float64]:
    x = np.geomspace(*canvas.axes.get_xlim(), 200)
    return np.stack([x, np.minimum(roof.gflop_s, x * roof.gb_s)], axis=1)


def _around(spot: NDArray[np.float64], size: float) -> Bbox:
    return Bbox.from_bounds(spot[0] - size / 2, spot[1] - size / 2, size, size)


def _box(place: Place, spot: NDArray[np.float64], name: str) -> Bbox:
    width = 6.4 * len(name)
    left = {"left": 0.0, "right": -width, "center": -width / 2}[place[2]]
    return Bbox.from_bounds(spot[0] + place[0] + left, spot[1] + place[1] - 6, width, 12)
