"""The tables that the command prints, as plain text cells."""

from __future__ import annotations

from collections.abc import Iterator

from keeprt.benchmarks.verify.judge import Verdict
from keeprt.benchmarks.verify.result import Result
from keeprt.benchmarks.verify.tables import output_rows, run_rows

TextTable = tuple[str, list[str], list[list[str]]]


def console_tables(result: Result, verdict: Verdict) -> Iterator[TextTable]:
    """Title, column names and rows: subgraphs, runs, and what does not hold."""
    if rows := output_rows(result):
        yield (
            "Each subgraph on the reference's activations",
            ["output", "mean rel. L2", "largest", "max abs.", "1 - cosine", "equal codes"],
            [
                [
                    row.name,
                    _text(row.mean_l2),
                    _text(row.worst_l2),
                    _text(row.max_abs),
                    _text(None if row.cosine is None else max(0.0, 1 - row.cosine)),
                    "" if row.equal_codes is None else f"{row.equal_codes:.3%}",
                ]
                for row in rows
            ],
        )
    yield (
        "End to end",
        ["run", "frames", "equal codes", "gap of flips", "no flip", "PSNR dB", "rel. L2"],
        [
            [
                row.name,
                str(row.frames),
                f"{row.equal_codes:.3%}",
                f"{row.largest_gap:.2%} std" if row.flips else "-",
                f"{row.same_frames} frames",
                "-" if row.worst_psnr_db is None else f"{row.worst_psnr_db:.1f}",
                _text(row.worst_l2),
            ]
            for row in run_rows(result)
        ],
    )
    if verdict.failed:
        yield (
            "What does not hold",
            ["criterion", "measure", "value", "limit"],
            [
                [
                    criterion.where,
                    criterion.measure,
                    f"{criterion.value:.4g}",
                    f"{'at most' if criterion.at_most else 'at least'} {criterion.limit:.4g}",
                ]
                for criterion in verdict.failed
            ],
        )


def bisect_sentences(result: Result) -> Iterator[str]:
    """What was found inside the subgraphs that failed."""
    for entry in result.bisected:
        yield str(entry["statement"])


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}"
