"""A run read back from its JSON, and the raw samples as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from keeprt.benchmarks.bench.results import FORMAT_VERSION, BenchResult, CaseResult
from keeprt.engine.errors import UsageError
from keeprt.engine.summaries import write_text

T = TypeVar("T")
COLUMNS = (
    *("mode", "faces", "scenario", "contender", "round", "call"),
    *("ms", "waited_ms", "round_pace_ms", "resident_mb"),
)


def load_result(path: Path) -> BenchResult:
    """What `keeprt bench --json` wrote. Raises UsageError for another file or version."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON: {error}") from None
    if not isinstance(content, dict) or content.get("format") != "keeprt-bench":
        raise UsageError(f"{path} is no result of `keeprt bench --json`")
    result = content.get("result")
    if not isinstance(result, dict) or not result.get("cases"):
        raise UsageError(f"{path} holds no measured case (of --predict or --plan?)")
    if result.get("format_version") != FORMAT_VERSION:
        raise UsageError(
            f"{path} has format version {result.get('format_version')!r}, this keeprt reads "
            f"{FORMAT_VERSION}: run `keeprt bench` again"
        )
    outer = {name: content.get(name, "") for name in ("machine", "command", "date")}
    try:
        return read(BenchResult, result | outer)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} is damaged: {type(error).__name__} {error}") from None


def read(kind: type[T], value: Any) -> T:
    """A dataclass from what `asdict` and JSON made of it; unknown names are left out."""
    hints = get_type_hints(kind)
    known = {f.name for f in fields(kind) if f.init}  # type: ignore[arg-type]
    return kind(**{name: _as(hints[name], item) for name, item in value.items() if name in known})


def _as(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:
        (kind,) = (one for one in inner if one is not type(None))
        return _as(kind, value)
    if is_dataclass(kind):
        return read(kind, value)  # type: ignore[arg-type]
    if origin is tuple:
        return tuple(_as(inner[0], item) for item in value)
    if origin is Mapping:
        return {inner[0](name): _as(inner[1], item) for name, item in value.items()}
    return kind(value) if kind in (int, float) else value


def write_csv(result: BenchResult, path: Path) -> None:
    """Every timed call as a row, its stages in columns of their own. Raises UsageError."""
    rows = [row for case in result.cases for row in _rows(case)]
    stages = dict.fromkeys(name for row in rows for name in row if name not in COLUMNS)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*COLUMNS, *stages], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _rows(case: CaseResult) -> Iterator[dict[str, Any]]:
    how = {"mode": case.case.mode, "faces": case.case.faces, "scenario": case.case.scenario}
    for found in case.contenders:
        number = 0
        for index, calls in enumerate(found.rounds_ms):
            for call, ms in enumerate(calls):
                row = how | {"contender": found.name, "round": index, "call": call, "ms": ms}
                row["waited_ms"] = _at(found.rounds_waited_ms, index, call)
                row["round_pace_ms"] = found.pace_ms[index] if index < len(found.pace_ms) else ""
                row["resident_mb"] = found.resident_mb[number]
                yield row | {f"{s.stage} ms": s.calls_ms[number] for s in found.stages}
                number += 1


def _at(rounds: Sequence[Sequence[float]], index: int, call: int) -> float | str:
    return rounds[index][call] if index < len(rounds) else ""
