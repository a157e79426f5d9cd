"""The protocol from beginning to end: clips, degradations, methods, measures, files."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keeprt.benchmarks.evaluate.clips import SharpClip
from keeprt.benchmarks.evaluate.flicker import flicker_picture
from keeprt.benchmarks.evaluate.levels import Level
from keeprt.benchmarks.evaluate.lossless import SUFFIX, write_clip, write_picture
from keeprt.benchmarks.evaluate.measure import Measure, Series, averages
from keeprt.benchmarks.evaluate.methods import DegradedClip, Method
from keeprt.benchmarks.evaluate.result import Evaluation, Result
from keeprt.engine.errors import KeeprtError, UsageError
from keeprt.export.training.degradation import Frame

SHARP = "sharp"
FLICKER = "_flicker.png"


@dataclass(frozen=True)
class Plan:
    """What is evaluated. column: of the flicker picture, None for the middle. facts: shown as they
    are. synthetic: the network's weights are made up."""

    levels: Sequence[Level]
    methods: Sequence[Method]
    measures: Sequence[Measure]
    out: Path
    seed: int = 0
    column: int | None = None
    facts: dict[str, str] = field(default_factory=dict)
    synthetic: bool = False


@dataclass(frozen=True)
class _Clip:
    sharp: SharpClip
    prepared: list[Any]


def evaluate(
    plan: Plan,
    clips: Iterable[SharpClip],
    on_frame: Callable[[], None] = lambda: None,
    on_result: Callable[[Result], None] = lambda result: None,
) -> Evaluation:
    """Runs every method on every clip at every level; what is found lies in `plan.out`.

    CLIP/sharp.mkv, CLIP/LEVEL/METHOD.mkv (lossless), ..._flicker.png beside each, evaluate.json.
    The last is written after every result: an interrupted run keeps what it has, marked
    incomplete. `on_frame` is called after each restored frame. Raises what a method raises.
    """
    plan.out.mkdir(parents=True, exist_ok=True)
    found = Evaluation(
        facts=plan.facts,
        levels={level.name: asdict(level) for level in plan.levels},
        methods={method.name: method.meaning for method in plan.methods},
        columns={c.key: m.source for m in plan.measures for c in m.columns},
        synthetic=plan.synthetic,
    )
    for sharp in clips:
        given = [measure for measure in plan.measures if measure.given]
        clip = _Clip(sharp, [measure.prepare(sharp.frames) for measure in given])
        _keep_sharp(plan, found, clip, given)
        for level in plan.levels:
            degraded = _degrade(plan, found, sharp, level)
            for method in plan.methods:
                result = _run(plan, clip, given, level, degraded, method, on_frame)
                found.results.append(result)
                found.save(plan.out)
                on_result(result)
    found.complete = True
    found.save(plan.out)
    return found


def frames_sha256(frames: Sequence[Frame]) -> str:
    """SHA-256 over the frames' bytes, in hex."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(np.ascontiguousarray(frame).tobytes())
    return digest.hexdigest()


def _keep_sharp(plan: Plan, found: Evaluation, clip: _Clip, given: Sequence[Measure]) -> None:
    """Files of the sharp clip, and its own changes over time beside which others' are read."""
    sharp = clip.sharp
    _keep(plan, plan.out / sharp.name / SHARP, sharp, sharp.frames)
    own: dict[str, float | None] = {}
    for measure, prepared in zip(given, clip.prepared, strict=True):
        if measure.column.key == "e_warp":
            own |= averages(measure, _values(measure, prepared, sharp.frames))
    found.clips[sharp.name] = {
        "source": sharp.source,
        "frames": len(sharp.frames),
        "rate": str(sharp.rate),
        "size": sharp.frames[0].shape[0],
        "sha256": frames_sha256(sharp.frames),
        "own": own,
    }


def _degrade(plan: Plan, found: Evaluation, sharp: SharpClip, level: Level) -> DegradedClip:
    degradation = level.draw(sharp.name, plan.seed, sharp.frames[0].shape[0])
    degraded = DegradedClip.make(sharp, degradation)
    drawn = {**asdict(degradation), "sha256": frames_sha256(degraded.input)}
    found.drawn[f"{sharp.name}/{level.name}"] = drawn
    return degraded


def _run(
    plan: Plan,
    clip: _Clip,
    given: Sequence[Measure],
    level: Level,
    degraded: DegradedClip,
    method: Method,
    on_frame: Callable[[], None],
) -> Result:
    sharp = clip.sharp
    start, restored = time.perf_counter(), []
    for frame in method.restore(degraded):
        restored.append(frame)
        on_frame()
    seconds = (time.perf_counter() - start) / len(sharp.frames)
    if len(restored) != len(sharp.frames):
        raise KeeprtError(
            f"{method.name} gave {len(restored)} frames for the {len(sharp.frames)} of {sharp.name}"
        )
    place = Path(sharp.name) / level.name / method.name
    _keep(plan, plan.out / place, sharp, restored)
    figures: dict[str, float | None] = {}
    series: dict[str, Series] = {}
    for measure, prepared in zip(given, clip.prepared, strict=True):
        values = _values(measure, prepared, restored)
        series[measure.column.key] = values
        figures |= averages(measure, values)
    return Result(
        level.name,
        sharp.name,
        method.name,
        len(restored),
        round(seconds, 4),
        place.as_posix(),
        figures,
        series,
    )


def _values(measure: Measure, prepared: Any, frames: Sequence[Frame]) -> Series:
    assert measure.values is not None
    return measure.values(prepared, frames)


def _keep(plan: Plan, place: Path, clip: SharpClip, frames: Sequence[Frame]) -> None:
    """A clip without loss and its flicker picture, under a name without suffix."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write into {place.parent}: {error.strerror}") from None
    # a method's name may hold a dot: no with_suffix
    write_clip(place.parent / (place.name + SUFFIX), frames, clip.rate)
    picture = flicker_picture(frames, plan.column)
    write_picture(place.parent / (place.name + FLICKER), picture)
