"""The tables that the command prints, as plain text cells."""

from __future__ import annotations

from collections.abc import Iterator

from keeprt.benchmarks.junit import apart
from keeprt.benchmarks.verify.judging.judge import Verdict
from keeprt.benchmarks.verify.measuring.soak import slopes
from keeprt.benchmarks.verify.result import Result
from keeprt.benchmarks.verify.tables import drift_sentences, output_rows, run_rows

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
                    apart(criterion.value, criterion.limit)[0],
                    f"{'at most' if criterion.at_most else 'at least'} "
                    f"{apart(criterion.value, criterion.limit)[1]}",
                ]
                for criterion in verdict.failed
            ],
        )


def sentences(result: Result) -> list[str]:
    """What stands below the tables: drift, weights, equal runs, and what was found inside."""
    return [*drift_sentences(result), *other_sentences(result), *bisect_sentences(result)]


def other_sentences(result: Result) -> Iterator[str]:
    """The weights, whether equal runs are equal, and how time and memory go over the frames."""
    checked = [check for check in result.weights if check["compared"]]
    if checked:
        count = sum(check["compared"] for check in checked)
        different = sum(len(check["different"]) for check in checked)
        share = min(check["share"] for check in checked)
        said = f"{different} differ" if different else "all are equal"
        yield (
            f"weights: {count} compared with the reference's, {said} (at least {share:.0%} of a "
            "subgraph's bytes)"
        )
    if result.answers:
        varying = [f"{name} ({n} answers)" for name, n in result.answers.items() if n > 1]
        said = f"not bit-equal: {', '.join(varying)}" if varying else "bit-equal"
        yield f"ten equal runs of each of {len(result.answers)} subgraphs: {said}"
    if result.soak:
        yield from (slope.statement() for slope in slopes(result.frames))


def bisect_sentences(result: Result) -> Iterator[str]:
    """What was found inside the subgraphs that failed."""
    for entry in result.bisected:
        yield str(entry["statement"])


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}"
