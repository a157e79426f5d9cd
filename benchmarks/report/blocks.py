"""What a report is made of: plain values that say what to show, and nothing of how it looks.

Text is plain text; `backticks` set a word as code. Pictures are uint8 RGB of shape (height, width,
3), or grey of shape (height, width). Numbers that are not finite leave a gap in a chart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from keeprt.engine.errors import UsageError
from keeprt.engine.frame.pixels import Picture

Status: TypeAlias = Literal["good", "bad", "neutral"]
Value: TypeAlias = "str | int | float | None"


@dataclass(frozen=True)
class Text:
    """Paragraphs, parted by empty lines; `tone="note"` sets them in a box of their own."""

    text: str
    tone: Literal["plain", "note"] = "plain"


@dataclass(frozen=True)
class Verdict:
    """A badge that says passed or failed, and the sentence beside it."""

    passed: bool
    text: str


@dataclass(frozen=True)
class Highlight:
    """One figure in large type: `label` above, `note` below."""

    label: str
    value: Value
    unit: str = ""
    note: str = ""
    digits: int | None = None


@dataclass(frozen=True)
class Highlights:
    """The few figures that a reader came for, next to each other."""

    items: Sequence[Highlight]


@dataclass(frozen=True)
class Column:
    """Head of a column; it is set as numbers if all its values are numbers, or if `numeric`.

    `digits` decimals for floats, or four significant digits.
    """

    name: str
    unit: str = ""
    digits: int | None = None
    numeric: bool | None = None


@dataclass(frozen=True)
class Cell:
    """A value of a table with its judgement and a note shown when pointed at."""

    value: Value
    status: Status | None = None
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under named columns; the first column names the row. None is an empty cell."""

    columns: Sequence[str | Column]
    rows: Sequence[Sequence[Value | Cell]]
    title: str = ""
    caption: str = ""

    def __post_init__(self) -> None:
        for index, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise UsageError(
                    f"table '{self.title}': row {index} has {len(row)} values "
                    f"for {len(self.columns)} columns"
                )


@dataclass(frozen=True)
class Threshold:
    """A level that a line is judged by, drawn across the chart with its name."""

    value: float
    label: str


@dataclass(frozen=True)
class Line:
    """One named series: `x` and `y` of the same length N."""

    name: str
    x: ArrayLike
    y: ArrayLike

    def __post_init__(self) -> None:
        if np.shape(self.x) != np.shape(self.y) or np.ndim(self.x) != 1:
            raise UsageError(
                f"line '{self.name}': x of shape {np.shape(self.x)} does not go with "
                f"y of shape {np.shape(self.y)}; both are of shape (N,)"
            )


@dataclass(frozen=True)
class LineChart:
    """Lines over a common axis. On a logarithmic axis values <= 0 are not drawn, and counted."""

    lines: Sequence[Line]
    x_label: str
    y_label: str
    title: str = ""
    caption: str = ""
    log_x: bool = False
    log_y: bool = False
    thresholds: Sequence[Threshold] = ()


@dataclass(frozen=True)
class Histogram:
    """How often each value occurs, with its percentiles marked (linear interpolation)."""

    values: ArrayLike
    unit: str
    title: str = ""
    caption: str = ""
    percentiles: Sequence[float] = (50, 90, 99)


@dataclass(frozen=True)
class Bars:
    """One series of a bar chart, a value per category; `low` and `high` draw a span on each bar."""

    name: str
    values: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None


@dataclass(frozen=True)
class BarChart:
    """Horizontal bars; several series stand beside each other, or are `stacked` into one bar."""

    categories: Sequence[str]
    bars: Sequence[Bars]
    unit: str
    title: str = ""
    caption: str = ""
    stacked: bool = False
    digits: int | None = None

    def __post_init__(self) -> None:
        for bars in self.bars:
            for what in (bars.values, bars.low, bars.high):
                if what is not None and np.shape(what) != (len(self.categories),):
                    raise UsageError(
                        f"bars '{bars.name}': values of shape {np.shape(what)} "
                        f"for {len(self.categories)} categories"
                    )


@dataclass(frozen=True)
class Roof:
    """What a machine can do: matrix products in GFLOP/s, and memory traffic in GB/s."""

    name: str
    gflop_s: float
    gb_s: float


@dataclass(frozen=True)
class RooflinePoint:
    """What a stage did; points of one `group` (a rival, a machine) share a colour."""

    name: str
    flop_per_byte: float
    gflop_s: float
    group: str = ""


@dataclass(frozen=True)
class Roofline:
    """Achieved rate against arithmetic intensity, below what the machines allow (log-log).

    S. Williams, A. Waterman, D. Patterson: Roofline, CACM 52 (4), 2009.
    """

    points: Sequence[RooflinePoint]
    roofs: Sequence[Roof]
    title: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Pair:
    """Two pictures of the same size; `name` tells the pairs of a slider apart."""

    left: Picture
    right: Picture
    name: str = ""

    def __post_init__(self) -> None:
        if self.left.shape[:2] != self.right.shape[:2]:
            raise UsageError(
                f"pair '{self.name}': pictures of shape {self.left.shape} and {self.right.shape}; "
                "resize them to one size"
            )


@dataclass(frozen=True)
class Slider:
    """Two pictures over each other with a divider to drag; several pairs can be picked from."""

    pairs: Sequence[Pair]
    labels: tuple[str, str] = ("before", "after")
    title: str = ""
    caption: str = ""

    def __post_init__(self) -> None:
        if not self.pairs:
            raise UsageError(f"slider '{self.title}': there is no pair of pictures to show")


@dataclass(frozen=True)
class Labelled:
    """A picture and what stands below it."""

    picture: Picture
    label: str = ""


@dataclass(frozen=True)
class Pictures:
    """Pictures side by side; `exact` stores every pixel as it is and shows pixels as squares."""

    items: Sequence[Labelled]
    title: str = ""
    caption: str = ""
    exact: bool = False


Block: TypeAlias = (
    Text
    | Verdict
    | Highlights
    | Table
    | LineChart
    | Histogram
    | BarChart
    | Roofline
    | Slider
    | Pictures
)


@dataclass(frozen=True)
class Section:
    """A heading, a sentence or two of what is shown, and the blocks in reading order."""

    title: str
    blocks: Sequence[Block]
    intro: str = ""


@dataclass(frozen=True)
class Report:
    """One page; `facts` say where the figures come from: machine, versions, bundle, command, date.

    `summary` blocks (a verdict, the highlights) stand above the facts.
    """

    title: str
    sections: Sequence[Section]
    subtitle: str = ""
    facts: Sequence[tuple[str, str]] = ()
    summary: Sequence[Block] = ()
