"""The answers as Markdown, from measured figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from keeprt.benchmarks.evaluate.measure import AKD, E_WARP, PSNR, SIGMA_AKD, SSIM, Column
from keeprt.benchmarks.evaluate.methods import BASELINES, OURS
from keeprt.benchmarks.questions.cases import (
    ABLATED_LEVELS,
    ABLATIONS,
    DEMO_LEVEL,
    FLOWS,
    PAPER_LEVELS,
    SEEDS,
    SHIPPED,
    WHOLE,
    WINDOWS,
    Case,
)

Known = Mapping[str, Mapping[str, float | None]]
FLICKER = Column("flicker", "flicker", "levels", "lower", 2)
PICTURES = (PSNR, SSIM, AKD, SIGMA_AKD, E_WARP, FLICKER)
WORTH = (PSNR, SSIM, AKD, E_WARP, FLICKER)
TITLES = {WHOLE: "whole", SHIPPED: "whole, as shipped"}
FLOW_ERROR = Column("flow_px", "flow error", "px", "lower", 2)


def tables(known: Known) -> Iterator[tuple[str, list[str]]]:
    """Name and lines of each table of which all is known."""
    makers = {
        "ways": ways_table,
        "parts": lambda found: networks_table(found, ABLATIONS, ()),
        "flows": lambda found: networks_table(found, FLOWS, (FLOW_ERROR,)),
        "windows": windows_table,
    }
    for name, make in makers.items():
        try:
            yield name, list(make(known))
        except KeyError:
            continue


def ways_table(known: Known) -> Iterator[str]:
    """Table 1: every way at the paper's levels."""
    yield from _head(["level", "way"], PICTURES)
    for level in PAPER_LEVELS:
        for method in (*BASELINES, *OURS):
            cases = [Case(SHIPPED, level, seed, method) for seed in SEEDS]
            yield _row([level, method], PICTURES, _means(known, cases))


def networks_table(known: Known, names: Sequence[str], more: Sequence[Column]) -> Iterator[str]:
    """Tables 2 and 3: the whole network and others; how often the whole one is the better. The
    shipped one is the whole one of another training: what differs there is chance."""
    yield from _head(["level", "network"], [*WORTH, *more], ["PSNR, whole better"])
    for level in ABLATED_LEVELS:
        for name in (WHOLE, SHIPPED, *names):
            cases = [Case(name, level, seed) for seed in SEEDS]
            better = "-"
            if name != WHOLE:
                whole = [Case(WHOLE, level, seed) for seed in SEEDS]
                gains = np.subtract(_values(known, whole, PSNR), _values(known, cases, PSNR))
                better = f"{gains.mean():+.2f} dB, {(gains > 0).sum()} of {len(SEEDS)} clips"
            title = TITLES.get(name, name.replace("-", " "))
            yield _row([level, title], [*WORTH, *more], _means(known, cases), [better])


def windows_table(known: Known) -> Iterator[str]:
    """Figures by the frames that the gain sees."""
    yield from _head(["window"], WORTH)
    for window in WINDOWS:
        cases = [Case(SHIPPED, DEMO_LEVEL, seed, window=window) for seed in SEEDS]
        yield _row([str(window)], WORTH, _means(known, cases))


def _head(first: Sequence[str], columns: Iterable[Column], last: Sequence[str] = ()) -> list[str]:
    titles = [*first, *(column.heading for column in columns), *last]
    return [_line(titles), _line(["---"] * len(titles))]


def _row(
    first: Sequence[str],
    columns: Iterable[Column],
    values: Mapping[str, float | None],
    last: Sequence[str] = (),
) -> str:
    return _line([*first, *(column.text(values.get(column.key)) for column in columns), *last])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _means(known: Known, cases: Sequence[Case]) -> dict[str, float | None]:
    """Means over the clips of what every one of them has."""
    found = [known[case.key] for case in cases]
    means: dict[str, float | None] = {}
    for key in found[0]:
        values = [one.get(key) for one in found]
        numbers = [value for value in values if value is not None]
        means[key] = float(np.mean(numbers)) if len(numbers) == len(values) else None
    return means


def _values(known: Known, cases: Sequence[Case], column: Column) -> list[float]:
    return [known[case.key][column.key] or 0.0 for case in cases]
