"""What an evaluation found, as plain values that go to JSON and come back."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from keeprt.benchmarks.evaluate.measure import Series, mean_known
from keeprt.engine.errors import UsageError
from keeprt.engine.summaries import as_text, envelope, opened, write_text

FORMAT, BEFORE_THE_ENVELOPE = "keeprt-evaluate", "keeprt-evaluation"
FORMAT_VERSION = 1
FILE = "evaluate.json"


@dataclass(frozen=True)
class Result:
    """One method on one clip at one level.

    seconds: spent in the method, per frame. place: of its files in the output folder, without
    suffix. figures: of the clip, by column. series: per frame, by measure.
    """

    level: str
    clip: str
    method: str
    frames: int
    seconds: float
    place: str
    figures: dict[str, float | None]
    series: dict[str, Series]


@dataclass
class Evaluation:
    """Everything that was found; `complete` is False until the last result is in.

    facts: of the run, in the order they are shown. levels: ranges by name. drawn: the degradation
    of each clip by level. methods: meaning by name. columns: what computes each, or "not given".
    sharp: figures of the sharp clips themselves that are no comparison.
    """

    facts: dict[str, str]
    levels: dict[str, dict[str, Any]]
    methods: dict[str, str]
    columns: dict[str, str]
    synthetic: bool
    drawn: dict[str, dict[str, Any]] = field(default_factory=dict)
    clips: dict[str, dict[str, Any]] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    complete: bool = False

    def mean(self, level: str, method: str, column: str) -> float | None:
        """A figure's mean over the clips; None where it was not given or some clip has none."""
        return mean_known([r.figures.get(column) for r in self.of(level, method)])

    def of(self, level: str, method: str) -> list[Result]:
        """The results of a row, one per clip."""
        return [r for r in self.results if (r.level, r.method) == (level, method)]

    def save(self, out: Path) -> None:
        """Writes evaluate.json into a folder, at once."""
        self.write(out / FILE)

    def write(self, target: Path) -> None:
        """Writes the JSON, whole or not at all; `-` is stdout. Raises UsageError."""
        content = {"format_version": FORMAT_VERSION, **asdict(self)}
        summary = envelope("evaluate", content, self.facts.get("command", ""))
        write_text(target, as_text(summary))


def load_evaluation(out: Path) -> Evaluation:
    """What `save` wrote. Raises UsageError for a folder without it, or of another format."""
    file = out / FILE
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{out} holds no {FILE}; make one with `keeprt evaluate`") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {error}; evaluate again") from None
    found = content.get("format") if isinstance(content, dict) else None
    content = opened(content, "evaluate")
    if found not in (FORMAT, BEFORE_THE_ENVELOPE):
        raise UsageError(f"{file} is no evaluation of keeprt")
    content.pop("format", None)
    if (version := content.pop("format_version", content.pop("version", None))) != FORMAT_VERSION:
        raise UsageError(f"{file} has version {version}, this keeprt reads {FORMAT_VERSION}")
    try:
        content["results"] = [Result(**_from_json(result)) for result in content["results"]]
        return Evaluation(**content)
    except (KeyError, TypeError) as error:
        raise UsageError(f"{file} is incomplete or damaged: {error}; evaluate again") from None


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _from_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    return math.inf if value == "inf" else value
