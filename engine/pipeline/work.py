"""What travels through the pipeline: one frame with its faces; and what is said at the end."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from keeprt.engine.faces.alignment import Affine
from keeprt.engine.faces.detection import Rgb
from keeprt.engine.faces.timeline import TrackedFace
from keeprt.engine.media import SourceFrame

T = TypeVar("T")


@dataclass(eq=False)
class AlignedFace:
    """A face of one frame. affine: (2, 3), pixels of the upright frame to pixels of the crop.
    crop: uint8 (S, S, 3) RGB, empty where a device cuts it out of the frame itself. restored: the
    same, once the network is done. fresh: its latent state began with this frame."""

    found: TrackedFace
    affine: Affine
    crop: Rgb
    restored: Rgb | None = None
    fresh: bool = False

    @property
    def track(self) -> int:
        """Number of the track: one person in one shot."""
        return self.found.track


@dataclass(eq=False)
class FrameWork:
    """A decoded frame and its faces, best first. cut: it begins a shot. grey: it has no colour.
    painted: its faces are in it, so that nothing is left to be painted."""

    frame: SourceFrame
    found: list[TrackedFace]
    cut: bool
    faces: list[AlignedFace] = field(default_factory=list)
    grey: bool = False
    painted: bool = False


class FirstOnes(list[T]):
    """A list that stops growing after `MOST` items, for days of video; `total` counts all."""

    MOST = 10_000

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def append(self, item: T) -> None:
        """Keeps the item if there is room, counts it in any case."""
        self.total += 1
        if len(self) < self.MOST:
            super().append(item)


@dataclass
class TrackSpan:
    """Where a track was restored: its first and last frame, and in how many frames."""

    first: int
    last: int
    frames: int


@dataclass
class Summary:
    """What was done. Frames count from 0. tracks: by number. cuts: frames that begin a shot.
    resets: frame and track wherever a latent state began anew. detections: of all frames.
    Of tracks, cuts and resets the first 10,000 are kept. seconds: spent per stage; stages overlap,
    so that their sum is more than the time it took. notes: what was damaged, changed in the middle,
    or is not in the output.
    """

    frames: int = 0
    detections: int = 0
    tracks: dict[int, TrackSpan] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=FirstOnes)
    resets: list[tuple[int, int]] = field(default_factory=FirstOnes)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, work: FrameWork) -> None:
        """Counts a written frame; of an interlaced one, both fields one after the other."""
        field = None if work.frame is None else work.frame.field
        is_last = field is None or field.is_last
        if work.cut:
            self.cuts.append(self.frames)
        for face in work.faces:
            span = self.tracks.get(face.track) or TrackSpan(self.frames, self.frames, 0)
            if len(self.tracks) < FirstOnes.MOST:
                self.tracks[face.track] = span
            span.last, span.frames = self.frames, span.frames + is_last
            if face.fresh:
                self.resets.append((self.frames, face.track))
        self.frames += is_last

    @contextmanager
    def timed(self, stage: str, within: str | None = None) -> Iterator[None]:
        """Adds the time of the block to a stage, each of which is timed in one thread; takes it
        from the stage `within` which the block runs."""
        start = time.perf_counter()
        yield
        spent = time.perf_counter() - start
        self.seconds[stage] += spent
        if within is not None:
            self.seconds[within] -= spent

    def timed_items(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """The same items, the time that each takes to come added to a stage."""
        iterator = iter(items)
        while True:
            start = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self.seconds[stage] += time.perf_counter() - start
            yield item
            del item
