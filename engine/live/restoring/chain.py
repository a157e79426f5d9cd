"""The steps that a file is restored by, for one frame after the other: find, align, restore, paint.

Interface: `chain = Chain(like, options, restorer, detector)`; `chain.step(frame, settings)` gives
the frames that are done, in order: with `options.lookahead` each as many frames later, and on a
card, where two are in flight, one more. `chain.collect()` gives what is in flight without a next
frame. Settings that find other faces begin anew, after the frames that are owed.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import av
import numpy as np

from keeprt.engine.faces.alignment import FACE_SIZE
from keeprt.engine.faces.detection import Detector
from keeprt.engine.faces.timeline import TrackedFace
from keeprt.engine.live.options import LiveOptions
from keeprt.engine.live.status import Face, Settings
from keeprt.engine.media.colour import Converter
from keeprt.engine.media.info import VideoInfo
from keeprt.engine.media.source import SourceFrame
from keeprt.engine.pipeline.aligning import Aligner
from keeprt.engine.pipeline.looking import FaceFinder
from keeprt.engine.pipeline.options import RestoreOptions
from keeprt.engine.pipeline.painting import Painting
from keeprt.engine.pipeline.restoring import face_restorer
from keeprt.engine.pipeline.work import FrameWork, Summary
from keeprt.engine.restorer import Restorer

#: What the file pipeline's parts are called on air: by who waits for them.
STAGES = {
    "track": "find",
    "shrink": "find",
    "detect": "find",
    "align": "align",
    "restore": "network",
    "composite": "paint",
}


@dataclass(frozen=True)
class Painted:
    """A frame that is done; None where its samples are no planes and it stays as it is. seconds: by
    stage, those of a frame that is still owed with the next one that is done."""

    frame: av.VideoFrame | None
    faces: tuple[Face, ...]
    seconds: Mapping[str, float]


class Chain:
    """One channel's faces; the detector and the network outlive every change of settings."""

    def __init__(
        self,
        like: VideoInfo,
        options: LiveOptions,
        restorer: Restorer | None,
        detector: Detector | None = None,
    ) -> None:
        self._like, self._options, self._network = like, options, restorer
        self._converter = Converter()
        self._base = RestoreOptions(
            min_size=options.min_size,
            detect_side=options.detect_side,
            lookahead=options.lookahead,
            detector=detector,
            interlaced="frame",
        )
        self._settings, self._chosen = options.settings, Chosen()
        self._number = 0
        self._begin()

    def step(
        self,
        frame: av.VideoFrame,
        settings: Settings,
        chosen: tuple[float, float] | None = None,
    ) -> list[Painted]:
        """Takes the next frame, which is painted in place later on."""
        done = self._adopt(settings, chosen)
        source = SourceFrame(frame, self._number, 0.0, self._like, self._converter)
        self._number += 1
        self._paintings.append(self._painting)
        return [*done, *self._restored(self._finder.step(source))]

    def collect(self) -> list[Painted]:
        """What is in flight on a card."""
        return [self._paint(work) for work in self._faces.finish()]

    def reset(self) -> None:
        """Forgets all faces, and the frames that are still owed."""
        self._begin()

    def _begin(self) -> None:
        settings = self._settings
        faces = "all" if self._chosen.place is not None else settings.faces
        options = replace(self._base, faces=faces, detect_every=settings.detect_every)
        size = FACE_SIZE if self._network is None else self._network.bundle.face_size
        self._summary = Summary()
        self._finder = FaceFinder(self._like, options, self._summary)
        self._aligner = Aligner(size, self._summary)
        self._faces = face_restorer(self._network, self._summary)
        self._painting = self._painter(settings)
        self._paintings: deque[Painting] = deque()  # of the frames that are owed
        self._found: deque[list[TrackedFace]] = deque()

    def _painter(self, settings: Settings) -> Painting:
        options = replace(self._base, strength=settings.strength)
        return Painting(options, None, self._summary)

    def _adopt(self, settings: Settings, chosen: tuple[float, float] | None) -> list[Painted]:
        before, self._settings = self._settings, settings
        others = (before.faces, before.detect_every) != (settings.faces, settings.detect_every)
        if others or chosen != self._chosen.place:
            owed = [*self._restored(self._finder.finish()), *self.collect()]
            self._chosen = Chosen(chosen) if chosen != self._chosen.place else self._chosen
            self._begin()
            return owed
        if before.strength != settings.strength:
            self._painting = self._painter(settings)
        return []

    def _restored(self, works: Iterable[FrameWork]) -> list[Painted]:
        done = []
        for work in works:
            self._found.append(work.found)
            work.found = self._chosen.of(work.found, self._like)
            done += self._faces.step(self._aligner.step(work))
        return [self._paint(one) for one in done]

    def _paint(self, done: FrameWork) -> Painted:
        found, painting = self._found.popleft(), self._paintings.popleft()
        restored = {face.track for face in done.faces}
        faces = tuple(_face(one, self._like, one.track in restored) for one in found)
        frame = None
        if done.faces:
            painted = painting.step(done)
            frame = painted.native if isinstance(painted, SourceFrame) else None
        return Painted(frame, faces, self._take_seconds())

    def _take_seconds(self) -> Mapping[str, float]:
        spent: defaultdict[str, float] = defaultdict(float)
        for name, seconds in self._summary.seconds.items():
            spent[STAGES[name]] += seconds
        self._summary.seconds.clear()
        return dict(spent)


class Chosen:
    """The face that an operator pointed at: its track, from when it is first seen there."""

    def __init__(self, place: tuple[float, float] | None = None) -> None:
        self.place = place
        self._track: int | None = None

    def of(self, found: list[TrackedFace], like: VideoInfo) -> list[TrackedFace]:
        """Of the faces of a frame the chosen one; all where none was chosen."""
        if self.place is None:
            return found
        if self._track is None:
            here = [one for one in found if self._holds(one, like)]
            self._track = here[0].track if here else None
        return [one for one in found if one.track == self._track]

    def _holds(self, one: TrackedFace, like: VideoInfo) -> bool:
        assert self.place is not None
        width, height = like.upright_size
        x, y = self.place[0] * width, self.place[1] * height
        left, top, right, bottom = one.box
        return bool(left <= x <= right and top <= y <= bottom)


def _face(one: TrackedFace, like: VideoInfo, restored: bool) -> Face:
    box = np.asarray(one.box, np.float64) / np.tile(like.upright_size, 2)
    left, top, right, bottom = (round(float(side), 4) for side in box)
    return Face(one.track, left, top, round(right - left, 4), round(bottom - top, 4), restored)
