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
    crop: uint8 (S, S, 3) RGB. restored: the same, once the network is done. fresh: its latent
    state began with this frame."""

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
    """A decoded frame and its faces, best first. cut: it begins a shot. grey: it has no colour."""

    frame: SourceFrame
    found: list[TrackedFace]
    cut: bool
    faces: list[AlignedFace] = field(default_factory=list)
    grey: bool = False


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
    seconds: spent per stage; stages overlap, so that their sum is more than the time it took.
    """

    frames: int = 0
    detections: int = 0
    tracks: dict[int, TrackSpan] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    resets: list[tuple[int, int]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, work: FrameWork) -> None:
        """Counts a written frame."""
        if work.cut:
            self.cuts.append(self.frames)
        for face in work.faces:
            span = self.tracks.setdefault(face.track, TrackSpan(self.frames, self.frames, 0))
            span.last, span.frames = self.frames, span.frames + 1
            if face.fresh:
                self.resets.append((self.frames, face.track))
        self.frames += 1

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
