"""The page of an evaluation: tables, figures over time, flicker pictures, sliders."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from keeprt.benchmarks import report
from keeprt.benchmarks.evaluate.flicker import stretched
from keeprt.benchmarks.evaluate.lossless import SUFFIX, read_clip, read_picture
from keeprt.benchmarks.evaluate.measure import E_WARP, PSNR, Column
from keeprt.benchmarks.evaluate.paper import MEANING as PAPER_MEANING
from keeprt.benchmarks.evaluate.paper import ROW as PAPER
from keeprt.benchmarks.evaluate.result import Evaluation
from keeprt.benchmarks.evaluate.run import FLICKER, SHARP
from keeprt.benchmarks.evaluate.table import (
    heading,
    level_title,
    notes,
    paper_row,
    rows,
    shown_columns,
    sources,
)
from keeprt.export.training.degradation import Frame

OVER_TIME = (PSNR, E_WARP)
_FLICKER_WIDTH = 192
#: The method that the sliders show, the first of these that was run; else the last one.
_SHOWN = ("stream", "clip", "per-frame")
SYNTHETIC = (
    "The weights are synthetic: they make no faces. The pictures and the figures of this network's "
    "rows mean nothing; they show that the protocol runs, how the baselines do, and what a run "
    "with the released weights will look like."
)


def write_page(found: Evaluation, folder: Path, path: Path) -> None:
    """Writes the HTML page of an evaluation whose files lie in `folder`.

    Raises MediaError where these are missing, UsageError or MediaError for the page itself.
    """
    report.write_report(make_page(found, folder), path)


def make_page(found: Evaluation, folder: Path) -> report.Report:
    """The page as blocks."""
    summary: list[report.Block] = []
    if found.synthetic:
        summary.append(report.Text(SYNTHETIC, tone="note"))
    if not found.complete:
        summary.append(report.Text("Interrupted: some results are missing.", tone="note"))
    levels = [level for level in found.levels if any(found.of(level, m) for m in found.methods)]
    return report.Report(
        "Quality of restored faces",
        [
            *(_level(found, folder, level) for level in levels),
            *([_pictures(found, folder, levels)] if levels else []),
            _protocol(found),
        ],
        subtitle="Sharp clips made poor by Eq. 9 of the KEEP paper, restored, and compared",
        facts=list(found.facts.items()),
        summary=summary,
    )


def _protocol(found: Evaluation) -> report.Section:
    drawn = [
        [
            place,
            d["blur_sigma"],
            d["noise_sigma"],
            d["crf"],
            d["downscale"],
            f"`{d['sha256'][:16]}`",
        ]
        for place, d in found.drawn.items()
    ]
    clips = [
        [name, clip["source"], clip["frames"], float(Fraction(clip["rate"])), clip["size"]]
        for name, clip in found.clips.items()
    ]
    return report.Section(
        "What was run",
        [
            report.Table(["method", "what it is"], [list(row) for row in found.methods.items()]),
            report.Table(["clip", "source", "frames", "fps", "side, px"], clips),
            report.Table(
                [
                    "clip / level",
                    "blur sigma, px",
                    "noise sigma",
                    "CRF",
                    "r",
                    "SHA-256 of the input",
                ],
                drawn,
                caption="Drawn uniformly from the level's ranges by the seed; ranges of the blur "
                "are in pixels of a 512-pixel face. The paper's figures are means over 50 clips.",
            ),
            report.Table(["measure", "computed by"], [list(row) for row in sources(found).items()]),
            report.Text("\n\n".join(notes(found))),
        ],
    )


def _level(found: Evaluation, folder: Path, level: str) -> report.Section:
    shown: list[list[report.Cell | str]] = [
        [name, *(report.Cell(c.text, status="good" if c.best else None) for c in cells)]
        for name, cells in rows(found, level)
    ]
    caption = "Means over frames, then over clips. Marked: the best of a column."
    if stated := paper_row(found, level):
        shown.append([report.Cell(PAPER, status="neutral"),
                      *(report.Cell(text, status="neutral") for text in stated)])  # fmt: skip
        caption += f" {PAPER_MEANING}."
    columns = (report.Column(heading(c), numeric=True) for c in shown_columns(found))
    table = report.Table(["method", *columns], shown, caption=caption)
    charts = [_over_time(found, level, column) for column in OVER_TIME]
    blocks = [table, *charts, _flicker(found, folder, level)]
    return report.Section(level.capitalize(), blocks, level_title(found, level))


def _over_time(found: Evaluation, level: str, column: Column) -> report.Block:
    clip = next(iter(found.clips))
    # the first frame has no predecessor to differ from
    first = 1 if column is E_WARP else 0
    series: dict[str, ArrayLike] = {
        r.method: [np.nan if v is None else v * column.factor for v in r.series[column.key][first:]]
        for r in found.results
        if (r.level, r.clip) == (level, clip)
    }
    return report.timeline(
        series,
        column.heading,
        title=f"{column.label} over frames, clip {clip}",
        first_frame=first,
        log_y=column is E_WARP,
    )


def _flicker(found: Evaluation, folder: Path, level: str) -> report.Block:
    clip = next(iter(found.clips))
    places = {SHARP: f"{clip}/{SHARP}"}
    places |= {r.method: r.place for r in found.results if (r.level, r.clip) == (level, clip)}
    pictures = [
        report.Labelled(stretched(read_picture(folder / (place + FLICKER)), _FLICKER_WIDTH), name)
        for name, place in places.items()
    ]
    return report.Pictures(
        pictures,
        exact=True,
        title=f"Flicker, clip {clip}",
        caption="One column of pixels of every frame, side by side: time runs to the right. "
        "Steady motion draws smooth lines, flicker a comb.",
    )


def _pictures(found: Evaluation, folder: Path, levels: list[str]) -> report.Section:
    """Sliders of one method on the first clip: the middle frame at every level."""
    clip = next(iter(found.clips))
    ran = {r.method for r in found.results}
    method = next((name for name in _SHOWN if name in ran), list(found.methods)[-1])
    shown = [
        level
        for level in levels
        if any(r.clip == clip and r.method == method for r in found.results if r.level == level)
    ]
    middle = found.clips[clip]["frames"] // 2
    sharp = _frame(folder, f"{clip}/{SHARP}", middle)
    inputs, against = [], []
    for level in shown:
        restored = _frame(folder, f"{clip}/{level}/{method}", middle)
        against.append(report.Pair(sharp, restored, level))
        if (folder / f"{clip}/{level}/degraded{SUFFIX}").exists():
            degraded = _frame(folder, f"{clip}/{level}/degraded", middle)
            inputs.append(report.Pair(degraded, restored, level))
    blocks: list[report.Block] = []
    if inputs:
        blocks.append(report.Slider(inputs, ("degraded", method), title="Input and result"))
    if against:
        blocks.append(report.Slider(against, ("sharp", method), title="Truth and result"))
    return report.Section("Pictures", blocks, f"Frame {middle} of clip {clip}, method `{method}`.")


def _frame(folder: Path, place: str, index: int) -> Frame:
    return next(islice(read_clip(folder / (place + SUFFIX)), index, None))
