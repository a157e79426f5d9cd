"""What each precision is allowed: a versioned file, one of which comes with the package."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Any

from keeprt.engine.errors import UsageError

FORMAT = "keeprt-verify-thresholds"
VERSION = 1


@dataclass(frozen=True)
class BaselineRule:
    """An error regresses if it is more than `factor` times the baseline's and above its floor."""

    factor: float
    relative_l2_floor: float
    psnr_db_floor: float
    unequal_codes_floor: float
    gap_std_floor: float


@dataclass(frozen=True)
class Thresholds:
    """Limits of one precision.

    `relative_l2` and `cosine` are by pattern of "subgraph.output", or "state.array" for what is
    carried to the next frame; the last pattern that fits counts. `equal_codes` is a share, gaps
    of flips are in standard deviations of the logits, PSNR is that of frames where none flips.
    """

    precision: str
    relative_l2: Mapping[str, float]
    cosine: Mapping[str, float]
    equal_codes: float
    gap_std: float
    psnr_db: float
    drift_decades_per_100_frames: float
    bisect_relative_l2: float
    baseline: BaselineRule

    def largest_error(self, name: str) -> float:
        """The limit on the relative L2 error of "subgraph.output"."""
        return _last_fitting(self.relative_l2, name)

    def smallest_cosine(self, name: str) -> float:
        """The limit on the cosine of "subgraph.output"."""
        return _last_fitting(self.cosine, name)


def load_thresholds(precision: str, path: Path | None = None) -> Thresholds:
    """The limits of a precision, from the package's file or another. Raises UsageError."""
    return thresholds_of(thresholds_content(path), precision, str(path or "thresholds.json"))


def thresholds_content(path: Path | None = None) -> Any:
    """What a file of limits holds, or the package's. Raises UsageError where it cannot be read."""
    file = path or resources.files("keeprt.benchmarks.verify.judging").joinpath("thresholds.json")
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the thresholds {file}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"the thresholds {file} are no JSON: {error}") from None


def check_patterns(limits: Thresholds, names: Iterable[str], file: Path) -> None:
    """Raises UsageError for a pattern that fits none of the `names` there are to judge, unless the
    package's own file has it, whose networks differ."""
    known, ours = list(names), load_thresholds(limits.precision)
    for kind in ("relative_l2", "cosine"):
        for pattern in getattr(limits, kind):
            fits = any(fnmatchcase(name, pattern) for name in known)
            if not fits and pattern not in getattr(ours, kind):
                raise UsageError(
                    f"{file}: the pattern {pattern!r} under {kind!r} of {limits.precision!r} fits "
                    f"nothing that is judged; there are {', '.join(known)}"
                )


def thresholds_of(content: Any, precision: str, file: str) -> Thresholds:
    """The limits of a precision out of a file's content. Raises UsageError."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UsageError(f"{file} holds no thresholds: its 'format' is not {FORMAT!r}")
    if content.get("version") != VERSION:
        raise UsageError(
            f"{file} has version {content.get('version')!r}, this keeprt reads {VERSION}"
        )
    try:
        limits = content["precisions"].get(precision)
        if limits is None:
            known = ", ".join(content["precisions"])
            raise UsageError(f"{file} has no thresholds for {precision!r}; it has {known}")
        return _thresholds_from(precision, limits, content["baseline"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{file}: {type(error).__name__} {error} under {precision!r}") from None


def _thresholds_from(
    precision: str, limits: dict[str, Any], baseline: dict[str, Any]
) -> Thresholds:
    patterns = {
        name: {pattern: float(limit) for pattern, limit in limits[name].items()}
        for name in ("relative_l2", "cosine")
    }
    for name, found in patterns.items():
        if next(iter(found), None) != "*":
            raise ValueError(f"{name!r} must begin with the pattern '*'")
    return Thresholds(
        precision=precision,
        relative_l2=patterns["relative_l2"],
        cosine=patterns["cosine"],
        equal_codes=float(limits["codes"]["equal"]),
        gap_std=float(limits["codes"]["gap_std"]),
        psnr_db=float(limits["psnr_db"]),
        drift_decades_per_100_frames=float(limits["drift_decades_per_100_frames"]),
        bisect_relative_l2=float(limits["bisect_relative_l2"]),
        baseline=BaselineRule(**{name: float(value) for name, value in baseline.items()}),
    )


def _last_fitting(patterns: Mapping[str, float], name: str) -> float:
    return [limit for pattern, limit in patterns.items() if fnmatchcase(name, pattern)][-1]
