"""The tables of an evaluation, as rows of text, for the console and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keeprt.benchmarks.evaluate.measure import (
    AKD,
    E_WARP,
    IDS,
    LPIPS,
    NOT_GIVEN,
    PSNR,
    SIGMA_AKD,
    SIGMA_IDS,
    SSIM,
    Column,
)
from keeprt.benchmarks.evaluate.paper import MEANING as PAPER_MEANING
from keeprt.benchmarks.evaluate.paper import ROW, stated
from keeprt.benchmarks.evaluate.result import Evaluation

PAPER = ROW
COLUMNS: tuple[Column, ...] = (PSNR, SSIM, LPIPS, IDS, SIGMA_IDS, AKD, SIGMA_AKD, E_WARP)


@dataclass(frozen=True)
class Cell:
    """text: as shown. best: the best of its column among the methods, where there are several."""

    text: str
    best: bool = False


def heading(column: Column) -> str:
    """Column label with unit and an arrow towards better."""
    return f"{column.heading} {'↑' if column.better == 'higher' else '↓'}"


def is_given(found: Evaluation, column: Column) -> bool:
    """False for a column whose network was not given."""
    return found.columns.get(column.key, NOT_GIVEN) != NOT_GIVEN


def shown_columns(found: Evaluation) -> list[Column]:
    """The columns that something computed: others would push them off the page."""
    return [column for column in COLUMNS if is_given(found, column)]


def paper_row(found: Evaluation, level: str) -> list[str]:
    """What the paper states of itself at a level of its own name, in the same columns; or none."""
    values = [(column, stated(level, column)) for column in shown_columns(found)]
    if all(value is None for _, value in values):
        return []
    return ["" if value is None else column.text(value) for column, value in values]


def level_title(found: Evaluation, level: str) -> str:
    """A level with the ranges its degradations were drawn from, and whose they are."""
    ranges = found.levels[level]
    parts = [f"{what} {_range(ranges[what])}" for what in ("sigma", "noise", "crf")]
    given = ranges["ranges_from"] == "command line"
    whose = "ranges as given" if given else f"ranges of {ranges['ranges_from']}"
    return f"{level}: {', '.join(parts)}, r = {ranges['downscale']} ({whose})"


def rows(found: Evaluation, level: str) -> list[tuple[str, list[Cell]]]:
    """One row per method that has results at this level: name and a cell per shown column."""
    methods = [name for name in found.methods if found.of(level, name)]
    columns = shown_columns(found)
    cells = {name: [_cell(found, level, name, c) for c in columns] for name in methods}
    for index, column in enumerate(columns):
        for name in _best(found, level, methods, column):
            cells[name][index] = Cell(cells[name][index].text, best=True)
    return [(name, cells[name]) for name in methods]


def sources(found: Evaluation) -> dict[str, str]:
    """What computed each measure, by the labels of its columns."""
    by_source: dict[str, list[str]] = {}
    for column in COLUMNS:
        by_source.setdefault(found.columns.get(column.key, NOT_GIVEN), []).append(column.label)
    return {", ".join(labels): source for source, labels in by_source.items()}


def notes(found: Evaluation) -> list[str]:
    """What else has to be known to read the tables."""
    lines = []
    for name, clip in found.clips.items():
        own = clip["own"].get(E_WARP.key)
        if own is not None:
            lines.append(
                f"{E_WARP.heading}, of the sharp clip {name} itself: {E_WARP.text(own)}; "
                "blur lowers it too"
            )
    if any(paper_row(found, level) for level in found.levels):
        lines.append(PAPER_MEANING)
    if any(_without_face(found, level, name) for level in found.levels for name in found.methods):
        lines.append(f"{AKD.label} (n/N): a face was found in n of N frames, and AKD is theirs")
    return lines


def _cell(found: Evaluation, level: str, method: str, column: Column) -> Cell:
    text = column.text(found.mean(level, method, column.key))
    if column is AKD and (missing := _without_face(found, level, method)):
        frames = sum(result.frames for result in found.of(level, method))
        text += f" ({frames - missing}/{frames})"
    return Cell(text)


def _without_face(found: Evaluation, level: str, method: str) -> int:
    """Frames in which the detector finds no face."""
    return sum(
        value is None
        for result in found.of(level, method)
        for value in result.series.get(AKD.key, [])
    )


def _best(found: Evaluation, level: str, methods: Sequence[str], column: Column) -> list[str]:
    values = {name: found.mean(level, name, column.key) for name in methods}
    if column in (AKD, SIGMA_AKD):
        # frames that are left out are the worst ones: such a mean competes with no other
        values = {n: None if _without_face(found, level, n) else v for n, v in values.items()}
    known = {name: value for name, value in values.items() if value is not None}
    if len(known) < 2:
        return []
    best = max(known.values()) if column.better == "higher" else min(known.values())
    return [name for name, value in known.items() if column.text(value) == column.text(best)]


def _range(bounds: Sequence[float]) -> str:
    return f"{bounds[0]:g} to {bounds[1]:g}"
