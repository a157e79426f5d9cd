"""What a verification measured: a plain value, and the JSON file that holds it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from keeprt.benchmarks.verify.measuring.errors import CodeError, FrameError, TensorError
from keeprt.benchmarks.verify.measuring.subgraph_errors import OutputError
from keeprt.benchmarks.whole_file import make_folder_of
from keeprt.engine.errors import UsageError
from keeprt.engine.summaries import STDOUT, opened, write_summary

FORMAT = "keeprt-verify"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class FrameRow:
    """One frame. `free`: each side goes on from its own past. `synced`: the same, but wherever
    codes flipped the reference's state was taken over afterwards; the same object as `free` until
    the first flip. `forced`: at sampled frames, from the reference's state. `control`: the
    reference against itself, disturbed once. `runtime_ms` is the runtime's time for the free run's
    frame, `resident_mb` the process's memory after it, the reference's included."""

    frame: int
    face_sha256: str
    begins: bool
    logits_std: float
    free: FrameError
    synced: FrameError
    forced: FrameError | None = None
    control: FrameError | None = None
    runtime_ms: float | None = None
    resident_mb: float | None = None


@dataclass
class Result:
    """All that was measured. `subject` says of what (a baseline must agree in all of it but the
    bundle, which may be another export of the same weights), `notes` what else a reader should
    know; `complete` is false while frames are missing. `weights` are the checks of each subgraph's
    own weights; `answers` says of each how many different outputs ten equal runs gave; `soak` that
    slopes over the frames are judged."""

    subject: dict[str, Any]
    notes: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    frames: list[FrameRow] = field(default_factory=list)
    outputs: list[OutputError] = field(default_factory=list)
    pictures: list[int] = field(default_factory=list)
    complete: bool = False
    bisected: list[dict[str, Any]] = field(default_factory=list)
    weights: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    soak: bool = False

    def save(self, path: Path, verdict: dict[str, Any] | None = None) -> None:
        """Writes the file whole or not at all. Raises UsageError."""
        content: dict[str, Any] = {"format_version": FORMAT_VERSION, "complete": self.complete}
        content |= {"verdict": verdict} if verdict else {}
        content |= asdict(self)
        if str(path) != STDOUT:
            make_folder_of(path)
        write_summary(path, "verify", content)


def load_result(path: Path) -> Result:
    """A result that `save` wrote. Raises UsageError for another file, format or version."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"no such file: {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON: {error}") from None
    found = content.get("format") if isinstance(content, dict) else None
    content = opened(content, "verify")
    if found != FORMAT:
        raise UsageError(f"{path} is no result of `keeprt verify --json`")
    if content.get("format_version") != FORMAT_VERSION:
        raise UsageError(
            f"{path} has format version {content.get('format_version')!r}, this keeprt reads "
            f"{FORMAT_VERSION}: run `keeprt verify` again"
        )
    try:
        return _result_from(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} is damaged: {type(error).__name__} {error}") from None


def _result_from(content: dict[str, Any]) -> Result:
    return Result(
        subject=dict(content["subject"]),
        notes=dict(content["notes"]),
        seconds={name: float(value) for name, value in content["seconds"].items()},
        frames=[_row_from(row) for row in content["frames"]],
        outputs=[_output_from(row) for row in content["outputs"]],
        pictures=[int(frame) for frame in content["pictures"]],
        complete=bool(content["complete"]),
        bisected=list(content["bisected"]),
        weights=list(content.get("weights", [])),
        answers=dict(content.get("answers", {})),
        soak=bool(content.get("soak", False)),
    )


def _row_from(row: dict[str, Any]) -> FrameRow:
    errors = {key: _frame_error_from(row[key]) for key in ("free", "synced")}
    extra = {
        key: _frame_error_from(row[key]) if row[key] else None for key in ("forced", "control")
    }
    return FrameRow(**{**row, **errors, **extra})


def _frame_error_from(content: dict[str, Any]) -> FrameError:
    changed = dict(content)
    for name in ("max_abs", "relative_l2", "psnr_db"):
        changed[name] = float(changed[name])
    changed["state"] = {name: float(value) for name, value in content["state"].items()}
    changed["codes"] = _codes_from(content["codes"])
    if content["flow_px"] is not None:
        changed["flow_px"] = float(content["flow_px"])
    return FrameError(**changed)


def _output_from(row: dict[str, Any]) -> OutputError:
    error, codes = row["error"], row["codes"]
    if error is not None:
        error = TensorError(**{name: float(value) for name, value in error.items()})
    return OutputError(**{**row, "error": error, "codes": codes and _codes_from(codes)})


def _codes_from(content: dict[str, Any]) -> CodeError:
    return CodeError(content["tokens"], content["flips"], [float(g) for g in content["gaps"]])
