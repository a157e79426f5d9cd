"""Identity tracks: which detection is which face of the last frames. Pure functions of values.

A track is born tentative at its first hit and confirmed after `min_hits`; who looks ahead shows
it from its first hit on. It coasts while the detector misses it and ends after `max_gap` frames.
A detection that would make a
track jump, change its size or look like another person is another face: it begins a track of its
own, with a new id and so a new latent state, and the old one ends unless its own face comes back.
Without looks people are told apart by place, size and motion alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.errors import UsageError
from keeprt.engine.faces.detection import Detection, Points, overlap
from keeprt.engine.faces.look import (
    Look,
    difference,
    follow_look,
    follow_restless,
    same_person,
)

Costs: TypeAlias = NDArray[np.floating[Any]]
Indices: TypeAlias = NDArray[np.integer[Any]]

_NEVER = 1e6
_VELOCITY_WEIGHT = 0.4
_TENTATIVE_MISSES = 2
_SAME_PLACE = 0.5


@dataclass(frozen=True)
class TrackOptions:
    """min_hits: detections until a face is believed. max_gap: frames without a hit survived.
    max_jump: farthest mean distance of the landmarks from where they were expected, in face sizes.
    max_growth: largest ratio of the sizes of two hits."""

    min_hits: int = 3
    max_gap: int = 10
    max_jump: float = 0.4
    max_growth: float = 1.6

    def __post_init__(self) -> None:
        if self.min_hits < 1 or self.max_gap < 1 or self.max_jump <= 0 or self.max_growth <= 1:
            raise UsageError(
                f"tracking options {self} make no sense; min_hits and max_gap are at least 1, "
                "max_jump above 0, max_growth above 1"
            )


@dataclass(frozen=True, eq=False)
class Track:
    """One face. first, last: frames of its first and newest hit. velocity: pixels per frame, (2,).
    missed: first frame after `last` in which it was looked for in vain. misses: how many those are.
    look: what is remembered of it. restless: how much its look usually changes from hit to hit.
    """

    id: int
    first: int
    last: int
    detection: Detection
    hits: int = 1
    velocity: Points = field(default_factory=lambda: np.zeros(2))
    missed: int | None = None
    misses: int = 0
    confirmed: bool = False
    look: Look | None = None
    restless: float = 0.0


@dataclass(frozen=True)
class Tracks:
    """All living tracks of a shot. looked: frames of the shot in which faces were looked for."""

    living: tuple[Track, ...] = ()
    next_id: int = 1
    looked: int = 0


@dataclass(frozen=True)
class Step:
    """What one frame did: the tracks after it, and those that it ended (tentative ones too)."""

    tracks: Tracks
    ended: tuple[Track, ...] = ()


def advance(
    tracks: Tracks, detections: Sequence[Detection] | None, frame: int, options: TrackOptions
) -> Step:
    """Take the detections of the next frame; None where nobody looked, which proves nothing."""
    if detections is None:
        return Step(tracks)
    pairs = _assign(tracks.living, detections, frame, options)
    after = [
        _hit(track, detections[pairs[i]], frame, options) if i in pairs else _miss(track, frame)
        for i, track in enumerate(tracks.living)
    ]
    new = [d for j, d in enumerate(detections) if j not in pairs.values()]
    born = [
        _born(tracks.next_id + n, frame, detection, tracks.living, options)
        for n, detection in enumerate(new)
    ]
    ended = tuple(track for track in after if _is_over(track, frame, options))
    living = tuple(t for t in (*after, *born) if t not in ended)
    return Step(Tracks(living, tracks.next_id + len(born), tracks.looked + 1), ended)


def reset(tracks: Tracks, options: TrackOptions) -> Step:
    """End every track: at a cut and at the end.

    In a shot too short for `min_hits`, a face that was hit every
    time is believed."""
    needed = min(options.min_hits, tracks.looked)
    ended = tuple(replace(t, confirmed=t.confirmed or t.hits >= needed) for t in tracks.living)
    return Step(Tracks(next_id=tracks.next_id), ended)


def prepare_matching() -> Callable[[Costs], tuple[Indices, Indices]]:
    """SciPy's matching of least cost. Its import takes a second: a command does without it, and
    whoever opens a video pays before the first frame."""
    from scipy.optimize import linear_sum_assignment

    return cast(Callable[[Costs], tuple[Indices, Indices]], linear_sum_assignment)


def _assign(
    tracks: Sequence[Track], detections: Sequence[Detection], frame: int, options: TrackOptions
) -> dict[int, int]:
    if not tracks or not detections:
        return {}
    costs = np.array([[_cost(t, d, frame, options) for d in detections] for t in tracks])
    rows, columns = prepare_matching()(costs)
    return {int(i): int(j) for i, j in zip(rows, columns, strict=True) if costs[i, j] < _NEVER}


def _cost(track: Track, detection: Detection, frame: int, options: TrackOptions) -> float:
    """0 to 1.8 by overlap, distance of the landmarks and look; _NEVER for another face."""
    old = track.detection
    size = max(old.size, 1e-6)
    growth = max(size, detection.size) / max(min(size, detection.size), 1e-6)
    shift = track.velocity * (frame - track.last)
    distance = float(np.linalg.norm(detection.landmarks - old.landmarks - shift, axis=1).mean())
    if growth > options.max_growth or distance > options.max_jump * size:
        return _NEVER
    if track.look is None or detection.look is None:
        unlike = 0.0
    elif same_person(track.look, detection.look, frame - track.last, track.restless):
        unlike = difference(track.look, detection.look)
    else:
        return _NEVER
    moved = old.box + np.tile(shift, 2)
    return 1.0 - overlap(moved, detection.box) + distance / size + unlike


def _born(
    key: int, frame: int, new: Detection, living: Sequence[Track], options: TrackOptions
) -> Track:
    # Where a noisy picture split a face, the noise that did it has to be remembered.
    there = [t for t in living if overlap(t.detection.box, new.box) > _SAME_PLACE]
    restless = max((follow_restless(t.restless, t.look, new.look) for t in there), default=0.0)
    believed = options.min_hits == 1
    return Track(key, frame, frame, new, confirmed=believed, look=new.look, restless=restless)


def _hit(track: Track, detection: Detection, frame: int, options: TrackOptions) -> Track:
    motion = (detection.landmarks - track.detection.landmarks).mean(0) / (frame - track.last)
    weight = 1.0 if track.hits == 1 else _VELOCITY_WEIGHT
    return replace(
        track,
        last=frame,
        detection=detection,
        hits=track.hits + 1,
        velocity=track.velocity + weight * (motion - track.velocity),
        missed=None,
        misses=0,
        confirmed=track.confirmed or track.hits + 1 >= options.min_hits,
        look=follow_look(track.look, detection.look),
        restless=follow_restless(track.restless, track.look, detection.look),
    )


def _miss(track: Track, frame: int) -> Track:
    missed = frame if track.missed is None else track.missed
    # A face that is not seen is not expected to go on moving for long.
    return replace(track, missed=missed, misses=track.misses + 1, velocity=track.velocity * 0.8)


def _is_over(track: Track, frame: int, options: TrackOptions) -> bool:
    if not track.confirmed and track.misses >= _TENTATIVE_MISSES:
        return True
    return frame - track.last > options.max_gap
