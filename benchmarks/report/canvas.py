"""A matplotlib figure in the report's look, and the marks on it that have something to say."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib import rcParamsDefault
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from keeprt.benchmarks.report.colours import light
from keeprt.benchmarks.report.numbers import format_tick
from keeprt.benchmarks.report.svg import Titles, clean

POINTS_WITH_TITLES = 150


@dataclass(frozen=True)
class Layout:
    """A width to draw for, in CSS pixels: the same chart is made for wide and for narrow pages."""

    name: str
    width: int
    height: int
    ticks: int


LAYOUTS = (Layout("wide", 760, 300, 7), Layout("narrow", 330, 260, 4))


@dataclass(frozen=True)
class LegendEntry:
    """One line of the legend, which is HTML so that it wraps on a phone."""

    name: str
    colour: str
    dashes: str = ""
    shape: str = "line"


@dataclass
class Canvas:
    """One chart in one layout."""

    layout: Layout
    figure: Figure
    axes: Axes
    titles: dict[str, Titles] = field(default_factory=dict)

    def tell(self, artist: Artist, *titles: str, quiet: bool = False) -> None:
        """What the marks of an artist say when pointed at, one text for each mark.

        `quiet` marks are seen only when pointed at.
        """
        identity = f"marks-{len(self.titles)}"
        artist.set_gid(identity)
        self.titles[identity] = Titles(titles, quiet)

    def svg(self, prefix: str, name: str) -> str:
        """The chart as an SVG element; the same chart gives the same text."""
        text = io.StringIO()
        with warnings.catch_warnings():
            # The browser's fonts count, not those that matplotlib measures with.
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            self.figure.savefig(text, format="svg", metadata={"Date": None})
        return clean(text.getvalue(), self.titles, prefix, name)


def open_canvas(layout: Layout, height: int | None = None) -> Canvas:
    """An empty chart, `height` CSS pixels high."""
    size = (layout.width / 72, (height or layout.height) / 72)
    figure = Figure(figsize=size, dpi=72, layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.05))
    canvas = Canvas(layout, figure, figure.add_subplot())
    figure.patch.set_visible(False)
    canvas.axes.patch.set_visible(False)
    return canvas


def name_axes(canvas: Canvas, x_label: str, y_label: str) -> None:
    """Labels in reading direction: the vertical axis is named above it."""
    cut = 90 if canvas.layout.name == "wide" else 40
    canvas.axes.set_title(
        shorten(y_label, cut), loc="left", fontsize=11.5, color=light("muted"), pad=10
    )
    canvas.axes.set_xlabel(shorten(x_label, cut), fontsize=11.5, color=light("muted"), labelpad=6)


def scale_axis(canvas: Canvas, axis: str, log: bool) -> None:
    """Linear or logarithmic, with few round ticks. `axis` is 'x' or 'y'."""
    which: Any = getattr(canvas.axes, f"{axis}axis")
    count = canvas.layout.ticks if axis == "x" else 5
    if not log:
        steps = [1, 2, 5, 10] if axis == "x" and _counts(canvas) else [1, 2, 2.5, 5, 10]
        which.set_major_locator(MaxNLocator(count, steps=steps))
        which.set_major_formatter(FuncFormatter(lambda value, _: format_tick(value)))
        return
    getattr(canvas.axes, f"set_{axis}scale")("log")
    low, high = getattr(canvas.axes, f"get_{axis}lim")()
    short = high / low < 1e3
    which.set_major_locator(LogLocator(subs=(1, 2, 5) if short else (1,), numticks=count + 2))
    which.set_major_formatter(FuncFormatter(lambda value, _: format_tick(value)))
    which.set_minor_formatter(NullFormatter())


def _counts(canvas: Canvas) -> bool:
    """Whether all points stand at whole numbers: no tick is at frame 2.5."""
    places = [np.asarray(line.get_xdata(), np.float64) for line in canvas.axes.lines]
    return bool(places) and all(bool((x == np.round(x)).all()) for x in places)


def shorten(name: str, length: int) -> str:
    """At most `length` characters, so that a long name leaves room for the chart."""
    return name if len(name) <= length else name[: length - 1] + "…"


def house_style() -> Any:
    """matplotlib's settings while a chart is made and written, whatever the user's are."""
    defaults = {key: value for key, value in rcParamsDefault.items() if "backend" not in key}
    return defaults | {
        "svg.fonttype": "none",
        "svg.hashsalt": "keeprt",
        "text.parse_math": False,
        "font.size": 11.5,
        "text.color": light("ink"),
        "axes.edgecolor": light("muted"),
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "grid.color": light("line"),
        "grid.linewidth": 0.8,
        "xtick.color": light("muted"),
        "ytick.color": light("muted"),
        "ytick.major.size": 0,
        "ytick.minor.size": 0,
        "xtick.minor.size": 0,
        "xtick.major.size": 3.5,
        "xtick.labelsize": 11,
        "ytick.labelsize": 11,
        "path.simplify_threshold": 0.3,
    }
