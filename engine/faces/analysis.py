"""All that is known of the faces of a video, frame by frame: how the parts work together.

    frame -> cut? -> detect (every k frames and at cuts) -> drop impossible and hidden faces
          -> looks -> tracks -> smoothing -> choose

One frame goes in, the faces of the frame `delay` earlier come out; memory is constant.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from keeprt.engine.errors import UsageError
from keeprt.engine.faces.appearance import Embedding, look_of
from keeprt.engine.faces.cuts import CutDetector, CutOptions
from keeprt.engine.faces.detection import Detection, Detector, Points, Rgb
from keeprt.engine.faces.landmark_file import FrameFaces
from keeprt.engine.faces.look import Look
from keeprt.engine.faces.selection import Choice, choose, without_hidden
from keeprt.engine.faces.timeline import Timeline, TrackedFace
from keeprt.engine.faces.tracks import TrackOptions, prepare_matching
from keeprt.engine.faces.upright import is_possible
from keeprt.engine.faces.view import View


@dataclass(frozen=True)
class AnalysisOptions:
    """every: look for faces in each k-th frame. lookahead: frames of delay for tracks and
    smoothing, None for all that help; 0 for live use, or as few as `cuts` look ahead for, and then
    for cuts alone. max_hidden: see `without_hidden`."""

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
        embedding: Embedding | None = None,
    ) -> None:
        """frame_size: height, width. detector: None if only `push_known` is used. record: is
        called with what a landmark file saves of each frame, in order. embedding: a network that
        tells people apart, in place of the picture of their faces."""
        prepare_matching()
        self._options = options or AnalysisOptions()
        self._detector, self._size, self._record = detector, frame_size, record
        self._embedding = embedding
        ahead, cuts = self._options.lookahead, self._options.cuts.lookahead
        for_cuts = ahead is not None and ahead <= cuts
        self._cut_options = CutOptions(
            self._options.cuts.threshold,
            self._options.cuts.prominence,
            ahead if ahead is not None and for_cuts else cuts,
        )
        self._cuts = CutDetector(self._cut_options)
        self._timeline = Timeline(self._options.tracks, 0 if for_cuts else ahead)
        # Frames whose cut is not decided yet, and cuts of frames that are not given yet.
        self._views: deque[View] = deque()
        self._shots: deque[bool] = deque()
        self._since_look = 0
        self._incumbents: list[int] = []

    @property
    def delay(self) -> int:
        """Frames that have to be pushed after a frame before its faces are known."""
        return self._cut_options.lookahead + self._timeline.lookahead

    def push(self, rgb: Rgb, parity: int | None = None) -> list[AnalysedFrame]:
        """Take the next frame, uint8 (h, w, 3), of any size; gives the frame `delay` ago, once
        there is one. parity: see `View.of`."""
        self._views.append(View.of(rgb, self._size, parity))
        return [done for cut in self._cuts.push(rgb) for done in self._look(cut)]

    def push_known(
        self, known: FrameFaces, rgb: Rgb | None = None, parity: int | None = None
    ) -> list[AnalysedFrame]:
        """Take the next frame as a landmark file knows it; its look-ahead for cuts falls away.
        Without its picture people are told apart by their places alone."""
        return self._follow(known, None if rgb is None else View.of(rgb, self._size, parity))

    def _follow(self, known: FrameFaces, view: View | None) -> list[AnalysedFrame]:
        self._shots.append(known.cut)

        def witness(landmarks: Points) -> Look | None:
            return None if view is None else look_of(view.rgb, view.in_picture(landmarks))

        found = self._visible(known.detections, view)
        seen = None if view is None else witness
        return self._give(self._timeline.push(found, known.cut, seen))

    def _visible(self, found: list[Detection] | None, view: View | None) -> list[Detection] | None:
        if found is None:
            return None
        possible = [face for face in found if is_possible(face)]
        visible = without_hidden(possible, self._options.max_hidden)
        return visible if view is None else [self._with_look(face, view) for face in visible]

    def _with_look(self, face: Detection, view: View) -> Detection:
        if face.look is not None and self._embedding is None:
            return face
        landmarks = view.in_picture(face.landmarks)
        return replace(face, look=look_of(view.rgb, landmarks, self._embedding))

    def finish(self) -> list[AnalysedFrame]:
        """The frames that are still owed."""
        rest = [done for cut in self._cuts.finish() for done in self._look(cut)]
        return rest + self._give(self._timeline.finish())

    def _look(self, cut: bool) -> list[AnalysedFrame]:
        view = self._views.popleft()
        known = FrameFaces(self._detect(view, cut), cut)
        if self._record is not None:
            self._record(known)
        return self._follow(known, view)

    def _detect(self, view: View, cut: bool) -> list[Detection] | None:
        due = cut or self._since_look == 0
        self._since_look = 1 if due else self._since_look + 1
        self._since_look %= self._options.every
        if not due:
            return None
        if self._detector is None:
            raise UsageError("frames were pushed to an analysis without a detector")
        return [view.in_frame(face) for face in self._detector.detect(view.rgb)]

    def _give(self, frames: list[list[TrackedFace]]) -> list[AnalysedFrame]:
        return [AnalysedFrame(self._choose(faces), self._shots.popleft()) for faces in frames]

    def _choose(self, faces: list[TrackedFace]) -> list[TrackedFace]:
        by_id = {face.track: face for face in faces}
        boxes = {key: face.box for key, face in by_id.items()}
        self._incumbents = choose(boxes, self._size, self._options.choice, self._incumbents)
        return [by_id[key] for key in self._incumbents]
