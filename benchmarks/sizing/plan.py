"""From measured speed and memory of one instance to machines: arithmetic, assumptions said."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keeprt.engine.errors import UsageError

HOURS_PER_DAY = 24.0
# What is asked for, and what is assumed where nothing is said.
ASSUMED = {
    "hours": 0.0,
    "days": 30.0,
    "channels": 0.0,
    "fps": 25.0,
    "faces": 1.0,
    "share": 1.0,
    "headroom": 0.3,
    "memory_gb": 0.0,
}
MEANING = {
    "hours": "hours of video in the archive",
    "days": "days that the archive may take",
    "channels": "live channels at once",
    "fps": "frames a second of the video",
    "faces": "faces restored in a frame that has any",
    "share": "share of the frames that have a face",
    "headroom": "share of a machine kept free: start-up, failures, uneven load",
    "memory_gb": "memory of a machine for instances; 0: one instance a machine",
}


@dataclass(frozen=True)
class Measured:
    """One instance, as `keeprt bench` measured it: faces a second at its best batch, the 99th
    percentile of one frame of one face in milliseconds, its peak memory in MB."""

    faces_per_s: float
    frame_p99_ms: float
    peak_memory_mb: float
    machine: str


@dataclass(frozen=True)
class Sizing:
    """Machines for an archive and for channels; 0 where none was asked for."""

    assumed: Mapping[str, float]
    instances_per_machine: int
    archive_machines: int
    channel_machines: int
    channels_per_machine: int
    notes: tuple[str, ...]


def parse_question(text: str) -> dict[str, float]:
    """ "hours=10000,days=30" with everything else as assumed. Raises UsageError."""
    asked = dict(ASSUMED)
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, value = part.partition("=")
        if name not in ASSUMED:
            raise UsageError(f"unknown {name!r} in a plan; there are {', '.join(ASSUMED)}")
        try:
            asked[name] = float(value)
        except ValueError:
            raise UsageError(f"{name} is {value!r} in a plan; give a number") from None
    _check(asked)
    return asked


def read_measured(file: Path) -> Measured:
    """The engine's figures from the JSON of a bench run. Raises UsageError."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return _measured(content.get("result", content))
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
        raise UsageError(f"{file} is no result of `keeprt bench --json` in stream mode") from None


def size(measured: Measured, asked: Mapping[str, float]) -> Sizing:
    """How many machines like the measured one. An instance is one process with one bundle."""
    instances = 1
    if asked["memory_gb"]:
        instances = int(1e3 * asked["memory_gb"] // measured.peak_memory_mb)
        if not instances:
            raise UsageError(
                f"an instance takes {measured.peak_memory_mb / 1e3:.1f} GB, a machine is given "
                f"{asked['memory_gb']:g} GB"
            )
    usable = (1 - asked["headroom"]) * measured.faces_per_s
    faces_per_s_of_video = asked["fps"] * asked["faces"] * asked["share"]
    archive_s = 3600 * asked["hours"] * faces_per_s_of_video / usable
    given_s = 3600 * HOURS_PER_DAY * asked["days"]
    per_machine = int(usable // (asked["fps"] * asked["faces"]))
    return Sizing(
        dict(asked),
        instances,
        math.ceil(archive_s / given_s),
        math.ceil(asked["channels"] / per_machine) if asked["channels"] and per_machine else 0,
        per_machine,
        tuple(_notes(measured, asked, instances, per_machine)),
    )


def sentences(measured: Measured, found: Sizing) -> list[str]:
    """What was found and all that it stands on, a line each."""
    said = [
        f"measured: {measured.faces_per_s:.3g} faces/s, {measured.frame_p99_ms:.4g} ms (p99) a "
        f"frame of one face, {measured.peak_memory_mb:.0f} MB, on {measured.machine}"
    ]
    said += [f"{name} = {value:g}: {MEANING[name]}" for name, value in found.assumed.items()]
    if found.assumed["hours"]:
        said.append(f"machines for the archive: {found.archive_machines}")
    if found.assumed["channels"]:
        said.append(
            f"machines for the channels: {found.channel_machines}, with "
            f"{found.channels_per_machine} channels each"
        )
    return [*said, *found.notes]


def _notes(
    measured: Measured, asked: Mapping[str, float], instances: int, per_machine: int
) -> list[str]:
    notes = [
        "Several instances on one machine share its processors or its card: they add memory, not "
        "faces a second, so speed is counted once a machine."
    ]
    period_ms = 1e3 / asked["fps"]
    if asked["channels"] and measured.frame_p99_ms > period_ms:
        notes.append(
            f"One frame of one face takes {measured.frame_p99_ms:.0f} ms (p99), a frame of the "
            f"video {period_ms:.0f} ms: no channel is restored in time on such a machine."
        )
    elif asked["channels"] and not per_machine:
        notes.append("With this headroom and so many faces not even one channel fits.")
    if instances > 1:
        notes.append(f"{instances} instances fit into the memory of a machine.")
    return notes


def _measured(content: Mapping[str, Any]) -> Measured:
    cases = [
        case
        for case in content["cases"]
        if case["case"]["mode"] == "stream" and case["case"].get("scenario") != "cold"
    ]
    engines = [case["contenders"][0] for case in cases]
    fastest = max(engines, key=lambda found: found["faces_per_s"])
    single = next(e for c, e in zip(cases, engines, strict=True) if c["case"]["faces"] == 1)
    machine = ", ".join(str(value) for value in list(content["machine"].values())[:2])
    return Measured(
        fastest["faces_per_s"],
        single["frame_ms"]["p99"],
        max(engine["peak_memory_mb"] for engine in engines),
        machine,
    )


def _check(asked: Mapping[str, float]) -> None:
    for name, value in asked.items():
        if not math.isfinite(value) or value < 0:
            raise UsageError(f"{name} is {value:g} in a plan; give 0 or more")
    if not 0 <= asked["headroom"] < 1 or not 0 < asked["share"] <= 1:
        raise UsageError("headroom is 0 to below 1 and share above 0 to 1 in a plan")
    if not asked["days"] or not asked["fps"] or not asked["faces"]:
        raise UsageError("days, fps and faces are above 0 in a plan")
    if not asked["hours"] and not asked["channels"]:
        raise UsageError("a plan asks for hours= of archive, channels=, or both")
