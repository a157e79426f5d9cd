"""Values per frame as a line chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from keeprt.benchmarks.report.blocks import Line, LineChart, Threshold


def timeline(
    series: Mapping[str, ArrayLike],
    unit: str,
    *,
    title: str = "",
    caption: str = "",
    first_frame: int = 0,
    log_y: bool = False,
    thresholds: Sequence[Threshold] = (),
    what: str = "frame",
) -> LineChart:
    """A chart of values per frame, or per `what` else; `first_frame` is the first one's number,
    `unit` names the vertical axis."""
    lines = [
        Line(name, first_frame + np.arange(len(np.atleast_1d(values))), np.atleast_1d(values))
        for name, values in series.items()
    ]
    return LineChart(lines, what, unit, title, caption, log_y=log_y, thresholds=thresholds)
