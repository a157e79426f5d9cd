"""All that is known of the faces of a video, frame by frame: how the parts work together.

    frame -> cut? -> detect (every k frames and at cuts) -> drop hidden faces
          -> tracks -> smoothing -> choose

One frame goes in, the faces of the frame `delay` earlier come out; memory is constant.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from keeprt.engine.errors import UsageError
from keeprt.engine.faces.cuts import CutDetector, CutOptions
from keeprt.engine.faces.detection import Detection, Detector, Rgb
from keeprt.engine.faces.landmark_file import FrameFaces
from keeprt.engine.faces.selection import Choice, choose, without_hidden
from keeprt.engine.faces.timeline import Timeline, TrackedFace
from keeprt.engine.faces.tracks import TrackOptions


@dataclass(frozen=True)
class AnalysisOptions:
    """every: look for faces in each k-th frame. lookahead: frames of delay for tracks and
    smoothing, None for all that help, 0 for live use (cuts are then decided at once too).
    max_hidden: see `without_hidden`."""

    every: int = 1
    lookahead: int | None = None
    max_hidden: float = 0.2
    choice: Choice = field(default_factory=Choice)
    tracks: TrackOptions = field(default_factory=TrackOptions)
    cuts: CutOptions = field(default_factory=CutOptions)

    def __post_init__(self) -> None:
        if not 1 <= self.every <= self.tracks.max_gap:
            raise UsageError(
                f"detecting every {self.every} frames does not fit gaps of {self.tracks.max_gap}; "
                "look at least once per gap"
            )


@dataclass(frozen=True)
class AnalysedFrame:
    """The chosen faces of a frame, best first, and whether it begins a new shot."""

    faces: list[TrackedFace]
    cut: bool


class Analysis:
    """Streaming: `push` each frame (or `push_known` what a file says of it), then `finish`."""

    def __init__(
        self,
        detector: Detector | None,
        frame_size: tuple[int, int],
        options: AnalysisOptions | None = None,
        record: Callable[[FrameFaces], None] | None = None,
    ) -> None:
        """frame_size: height, width. detector: None if only `push_known` is used. record: is
        called with what a landmark file saves of each frame, in order."""
        self._options = options or AnalysisOptions()
        self._detector, self._size, self._record = detector, frame_size, record
        live = self._options.lookahead == 0
        self._cut_options = CutOptions(
            self._options.cuts.threshold,
            self._options.cuts.prominence,
            0 if live else self._options.cuts.lookahead,
        )
        self._cuts = CutDetector(self._cut_options)
        self._timeline = Timeline(self._options.tracks, self._options.lookahead)
        # Frames whose cut is not decided yet, and cuts of frames that are not given yet.
        self._frames: deque[Rgb] = deque()
        self._shots: deque[bool] = deque()
        self._since_look = 0
        self._incumbents: list[int] = []

    @property
    def delay(self) -> int:
        """Frames that have to be pushed after a frame before its faces are known."""
        return self._cut_options.lookahead + self._timeline.lookahead

    def push(self, rgb: Rgb) -> list[AnalysedFrame]:
        """Take the next frame, uint8 (H, W, 3); gives the frame `delay` ago, once there is one."""
        self._frames.append(rgb)
        return [done for cut in self._cuts.push(rgb) for done in self._look(cut)]

    def push_known(self, known: FrameFaces) -> list[AnalysedFrame]:
        """Take the next frame as a landmark file knows it; its look-ahead for cuts falls away."""
        self._shots.append(known.cut)
        found = known.detections
        visible = None if found is None else without_hidden(found, self._options.max_hidden)
        return self._give(self._timeline.push(visible, known.cut))

    def finish(self) -> list[AnalysedFrame]:
        """The frames that are still owed."""
        rest = [done for cut in self._cuts.finish() for done in self._look(cut)]
        return rest + self._give(self._timeline.finish())

    def _look(self, cut: bool) -> list[AnalysedFrame]:
        rgb = self._frames.popleft()
        known = FrameFaces(self._detect(rgb, cut), cut)
        if self._record is not None:
            self._record(known)
        return self.push_known(known)

    def _detect(self, rgb: Rgb, cut: bool) -> list[Detection] | None:
        due = cut or self._since_look == 0
        self._since_look = 1 if due else self._since_look + 1
        self._since_look %= self._options.every
        if not due:
            return None
        if self._detector is None:
            raise UsageError("frames were pushed to an analysis without a detector")
        return self._detector.detect(rgb)

    def _give(self, frames: list[list[TrackedFace]]) -> list[AnalysedFrame]:
        return [AnalysedFrame(self._choose(faces), self._shots.popleft()) for faces in frames]

    def _choose(self, faces: list[TrackedFace]) -> list[TrackedFace]:
        by_id = {face.track: face for face in faces}
        boxes = {key: face.box for key, face in by_id.items()}
        self._incumbents = choose(boxes, self._size, self._options.choice, self._incumbents)
        return [by_id[key] for key in self._incumbents]
