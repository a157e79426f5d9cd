"""The page of an archive: a row for each file, in one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version

from keeprt.engine.archive.one import Row
from keeprt.engine.archive.run import ArchiveResult

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif }
body { margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .6rem }
th, td { text-align: left; vertical-align: top }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
td.name { overflow-wrap: anywhere }
tr.failed { background: #fdecea } tr.warned { background: #fff8e1 }
@media (prefers-color-scheme: dark) {
  body { background: #16181c; color: #e4e6ea } th, td { border-color: #333 }
  tr.failed { background: #4a1d1a } tr.warned { background: #40351a }
}
"""
HEADS = (
    *(("file", ""), ("status", ""), ("frames", "number"), ("people", "number")),
    *(("faces", "number"), ("seconds", "number"), ("what to know", "")),
)


def page(result: ArchiveResult) -> str:
    """The page: what failed first, then what has warnings, then the rest by name."""
    rows = sorted(result.rows, key=lambda row: (_rank(row), row.source))
    heads = "".join(f'<th class="{kind}">{head}</th>' for head, kind in HEADS)
    body = "\n".join(map(_row, rows))
    left = f"<p>Left alone, no videos: {_names(result.skipped)}</p>" if result.skipped else ""
    made = f"keeprt {version('keeprt')}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return (
        '<!doctype html>\n<!-- keeprt-archive -->\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n<title>Archive</title>\n'
        f"<style>{STYLE}</style>\n<h1>Archive</h1>\n<p>{_totals(result)}</p>\n"
        f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
        f"{left}<footer><small>{escape(made)}</small></footer>\n</html>\n"
    )


def _totals(result: ArchiveResult) -> str:
    counts = dict.fromkeys(("restored", "done before", "failed"), 0)
    for row in result.rows:
        counts[row.status] += 1
    said = ", ".join(f"{count} {status}" for status, count in counts.items())
    frames = sum(row.frames for row in result.rows)
    return (
        f"{len(result.rows)} files: {said}. {frames} frames, this run took {result.seconds:.0f} s."
    )


def _rank(row: Row) -> int:
    return 0 if row.status == "failed" else 1 if row.warnings else 2


def _row(row: Row) -> str:
    kind = ("failed", "warned", "")[_rank(row)]
    return f'<tr class="{kind}">{"".join(_cells(row))}</tr>'


def _cells(row: Row) -> Iterator[str]:
    yield f'<td class="name">{escape(row.source)}</td><td>{row.status}</td>'
    failed = row.status == "failed"
    for number in (row.frames, row.tracks, row.restored_faces, f"{row.seconds:.1f}"):
        yield f'<td class="number">{"" if failed else number}</td>'
    yield f'<td class="name">{"<br>".join(map(escape, _to_know(row)))}</td>'


def _to_know(row: Row) -> Iterator[str]:
    if row.error:
        yield row.error
    yield from row.warnings
    if row.attempts > 1:
        yield f"{row.attempts} attempts"


def _names(names: list[str]) -> str:
    shown = ", ".join(map(escape, names[:100]))
    return shown + (f" and {len(names) - 100} more" if len(names) > 100 else "")
