"""The page of a verification: verdict, tables, error against frame, flips, pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from keeprt.benchmarks import report as r
from keeprt.benchmarks.precision.runs import PEAK
from keeprt.benchmarks.verify.console import other_sentences
from keeprt.benchmarks.verify.judging.judge import Criterion, Verdict
from keeprt.benchmarks.verify.judging.thresholds import Thresholds
from keeprt.benchmarks.verify.measuring.errors import Array, FrameError
from keeprt.benchmarks.verify.measuring.pictures import FramePictures, PictureFolder
from keeprt.benchmarks.verify.result import FrameRow, Result
from keeprt.benchmarks.verify.tables import (
    MEANINGS,
    RUNS,
    drift_sentences,
    finite,
    headline,
    output_rows,
    run_rows,
)
from keeprt.engine.frame.pixels import Picture

SHOWN_FRAMES = 4  # pictures cost about 100 KB a frame
FACTS = ("precision", "backend", "provider", "threads", "cpu", "cores", "system", "python")
VERSIONS = ("keeprt", "torch", "onnxruntime", "numpy")


def write_page(
    path: Path,
    result: Result,
    verdict: Verdict,
    limits: Thresholds,
    pictures: PictureFolder | None,
) -> None:
    """Writes one self-contained HTML file. Raises MediaError or UsageError."""
    sections = [
        r.Section("From frame to frame", list(_frames(result, limits))),
        r.Section("Flipped codes", list(_flips(result, limits))),
        r.Section("Each subgraph", [_outputs(result)], intro="On the reference's own activations."),
        r.Section("All criteria", [_criteria(verdict.criteria)]),
    ]
    if others := list(other_sentences(result)):
        lines = "\n\n".join(f"{line[0].upper()}{line[1:]}." for line in others)
        sections.insert(-1, r.Section("Weights, repetition, endurance", [r.Text(lines)]))
    if verdict.failed:
        notes = [r.Text(str(entry["statement"]), tone="note") for entry in result.bisected]
        failed = r.Section("What does not hold", [_criteria(verdict.failed), *notes])
        sections.insert(0, failed)
    kept = [found for n in result.pictures if pictures and (found := pictures.load(n))]
    if kept:
        sections.insert(-2, r.Section("Pictures", list(_pictures(kept))))
    page = r.Report(
        "Accuracy against the PyTorch reference",
        sections,
        subtitle=f"{result.subject['clip']}, {result.subject['mode']} mode, "
        f"{len(result.frames)} frames",
        facts=list(_facts(result)),
        summary=[r.Verdict(verdict.passed, headline(result, verdict)), _highlights(result)],
    )
    r.write_report(page, path)


def _facts(result: Result) -> Iterator[tuple[str, str]]:
    notes, subject = result.notes, result.subject
    yield "bundle", f"`{subject['bundle_sha256'][:16]}`"
    yield "weights", f"{notes['weights_source']}, `{subject['weights_sha256'][:16]}`"
    if notes.get("synthetic"):
        yield "note", "synthetic weights, for agreement only: the pictures mean nothing"
    span = "window" if "window" in subject else "chunk"
    yield span, f"{subject[span]} frames"
    for name in FACTS:
        if name in notes:
            yield name, str(notes[name])
    yield "versions", ", ".join(f"{name} {notes[name]}" for name in VERSIONS if name in notes)
    spent = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in result.seconds.items())
    yield "time spent", spent


def _highlights(result: Result) -> r.Highlights:
    runs = {row.name: row for row in run_rows(result)}
    shown = []
    if "synced" in runs:
        synced, free = runs["synced"], runs["free"]
        psnr = finite(synced.worst_psnr_db)
        shown = [
            r.Highlight("lowest PSNR, codes equal", psnr or math.inf, "dB", digits=1),
            r.Highlight("codes equal, free run", 100 * free.equal_codes, "%", digits=2),
            r.Highlight("codes equal, synced run", 100 * synced.equal_codes, "%", digits=3),
            r.Highlight(
                "largest gap of a flip", 100 * synced.largest_gap, "%", "of the logits' std"
            ),
        ]
    return r.Highlights(shown)


def _criteria(criteria: Sequence[Criterion]) -> r.Block:
    columns: list[str | r.Column] = ["criterion", "measure", *_numeric("value", "limit"), "holds"]
    return r.Table(columns, [_criterion(criterion) for criterion in criteria])


def _numeric(*names: str) -> list[r.Column]:
    return [r.Column(name, numeric=True) for name in names]


def _criterion(criterion: Criterion) -> list[r.Cell | str]:
    sign = "≤" if criterion.at_most else "≥"
    status = {True: ("yes", "good"), False: ("no", "bad"), None: ("not judged", "neutral")}
    word, tone = status[criterion.passed]
    value = "-" if criterion.passed is None else _figure(criterion.value)
    note = criterion.detail if criterion.passed is not True else ""
    return [
        criterion.where,
        criterion.measure,
        value,
        f"{sign} {_figure(criterion.limit)}",
        r.Cell(word, status=tone, note=note),  # type: ignore[arg-type]
    ]


def _figure(value: float) -> str:
    return f"{value:.1e}" if 0 < abs(value) < 1e-2 else f"{value:.5g}"


def _outputs(result: Result) -> r.Block:
    figures = ("samples", "mean rel. L2", "largest", "max abs.", "1 - cosine", "equal codes")
    rows = []
    for row in output_rows(result):
        cosine = None if row.cosine is None else max(0.0, 1 - row.cosine)
        values = (row.mean_l2, row.worst_l2, row.max_abs, cosine)
        cells = [None if value is None else f"{value:.1e}" for value in values]
        equal = None if row.equal_codes is None else f"{row.equal_codes:.3%}"
        rows.append([row.name, row.samples, *cells, equal])
    return r.Table(["output", *_numeric(*figures)], rows)


def _frames(result: Result, limits: Thresholds) -> Iterator[r.Block]:
    figures = ("frames", "equal codes", "flips", "no flip in", "PSNR dB", "rel. L2", "flow px")
    yield r.Table(
        ["run", *_numeric(*figures)],
        [
            [
                r.Cell(row.name, note=MEANINGS[row.name]),
                row.frames,
                f"{row.equal_codes:.3%}",
                row.flips,
                row.same_frames,
                None if row.worst_psnr_db is None else f"{row.worst_psnr_db:.1f}",
                None if row.worst_l2 is None else f"{row.worst_l2:.1e}",
                None if row.flow_px is None else f"{row.flow_px:.1e}",
            ]
            for row in run_rows(result)
        ],
        caption="PSNR (lowest) and relative L2 (largest) of frames in which no code flips; flow: "
        "largest median length of a frame's difference.",
    )
    runs = {name: RUNS[name] for name in ("free", "synced", "control")}
    lines = [line for name, of in runs.items() if (line := _line(name, result.frames, of))]
    limit = PEAK * 10 ** (-limits.psnr_db / 20)
    yield r.LineChart(
        lines,
        "frame",
        "RMS error of a face in [-1, 1]",
        log_y=True,
        thresholds=[r.Threshold(limit, f"{limits.psnr_db:.0f} dB, where no code flips")],
        title="Error against frame number",
        caption=" ".join(f"{said[0].upper()}{said[1:]}." for said in drift_sentences(result)),
    )
    arrays = dict.fromkeys(name for row in result.frames for name in row.synced.state)
    yield r.LineChart(
        [
            r.Line(
                name,
                [row.frame for row in result.frames],
                [row.synced.state.get(name, math.nan) for row in result.frames],
            )
            for name in arrays
        ],
        "frame",
        "relative L2",
        log_y=True,
        title="Error of what is carried to the next frame (synced run)",
    )


def _line(
    name: str, rows: list[FrameRow], error_of: Callable[[FrameRow], FrameError | None]
) -> r.Line | None:
    found = [(row.frame, e) for row in rows if (e := error_of(row)) is not None]
    if not found:
        return None
    rms = [PEAK * 10 ** (-error.psnr_db / 20) for _, error in found]
    return r.Line(name, [frame for frame, _ in found], rms)


def _flips(result: Result, limits: Thresholds) -> Iterator[r.Block]:
    if not any(row.free.codes.flips for row in result.frames):
        yield r.Text(f"No code flips in {len(result.frames)} frames.")
        return
    runs = {name: [RUNS[name](row) for row in result.frames] for name in ("free", "synced")}
    yield r.timeline(
        {n: [e.codes.flips if e else math.nan for e in errors] for n, errors in runs.items()},
        "codes",
        title="Codes that differ, by frame",
    )
    gaps = [gap for row in result.frames for gap in row.synced.codes.gaps]
    yield r.Histogram(
        gaps,
        "std of logits",
        title="How nearly tied the flipped codes were (synced run)",
        caption="Gap between the reference's two best logits in standard deviations of the "
        f"frame's logits; up to {limits.gap_std:g} is allowed.",
    )


def _pictures(kept: list[FramePictures]) -> Iterator[r.Block]:
    places = np.linspace(0, len(kept) - 1, min(SHOWN_FRAMES, len(kept))).round().astype(int)
    shown = [kept[place] for place in places]
    yield r.Slider(
        [r.Pair(p.reference, p.ours, f"frame {p.frame}") for p in shown],
        labels=("PyTorch reference", "this bundle (synced run)"),
    )
    worst = max(kept, key=lambda p: _difference(p).max())
    largest = int(_difference(worst).max())
    factor = 1 << max(0, int(math.log2(255 / largest))) if largest else 1
    note = (
        f"largest difference {largest} of 255 levels, shown times {factor}"
        if largest
        else "the 8-bit pictures are equal"
    )
    yield r.Pictures(
        [
            r.Labelled(worst.input, "input"),
            r.Labelled(worst.ours, "this bundle"),
            r.Labelled(_amplified(worst, factor), f"difference times {factor}"),
        ],
        title=f"Frame {worst.frame}, the sampled one that differs most",
        caption=note,
    )


def _difference(pictures: FramePictures) -> Array:
    return np.asarray(np.abs(pictures.reference.astype(np.int16) - pictures.ours))


def _amplified(pictures: FramePictures, factor: int) -> Picture:
    return np.asarray(np.clip(_difference(pictures) * factor, 0, 255), np.uint8)
