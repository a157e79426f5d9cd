"""Reports: typed blocks of text, tables, charts and pictures become one self-contained HTML file.

Knows nothing of networks and measurements. `Report` holds `Section`s, a `Section` holds blocks.
"""

from keeprt.benchmarks.report.blocks import (
    BarChart,
    Bars,
    Block,
    Cell,
    Column,
    Highlight,
    Highlights,
    Histogram,
    Labelled,
    Line,
    LineChart,
    Pair,
    Pictures,
    Report,
    Roof,
    Roofline,
    RooflinePoint,
    Section,
    Slider,
    Table,
    Text,
    Threshold,
    Verdict,
)
from keeprt.benchmarks.report.page import render, write_report
from keeprt.benchmarks.report.timeline import timeline

__all__ = [
    "BarChart",
    "Bars",
    "Block",
    "Cell",
    "Column",
    "Highlight",
    "Highlights",
    "Histogram",
    "Labelled",
    "Line",
    "LineChart",
    "Pair",
    "Pictures",
    "Report",
    "Roof",
    "Roofline",
    "RooflinePoint",
    "Section",
    "Slider",
    "Table",
    "Text",
    "Threshold",
    "Verdict",
    "render",
    "timeline",
    "write_report",
]
