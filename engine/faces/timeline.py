"""From the detections of each frame to its smoothed faces, a bounded number of frames later.

With a look-ahead of L frames the faces of frame t are given when frame t + L is known. Then it is
known too whether a track was confirmed (it is shown from its first hit), whether a gap was
bridged (its landmarks are interpolated) or ended the track (nothing is shown after the last hit).
L = RADIUS + max_gap makes the smoothing equal to that of the whole video. With L = 0 a track is
shown from the hit that confirms it, stands still and fades out in a gap, and is filtered causally.
Where a face was not seen, the picture at its place has a say: it is shown as far as the picture
still looks like it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from keeprt.engine.errors import UsageError
from keeprt.engine.faces.detection import Detection, Points, overlap
from keeprt.engine.faces.look import Look, presence
from keeprt.engine.faces.smoothing import RADIUS, CausalState, LookaheadSmoother, smooth_causally
from keeprt.engine.faces.tracks import Step, Track, TrackOptions, Tracks, advance, reset

#: What the face with these landmarks (5, 2) looks like in a frame; None if they span none.
Witness = Callable[[Points], Look | None]
_FADE_FRAMES = 4  # after which a face that is looked for in vain is gone, with no look-ahead
_TAKEN = 0.3  # overlap with another face from which a place is doubtful


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """A face of one frame.

    landmarks: (5, 2), smoothed. box: (4,) x1 y1 x2 y2. seen: detected in this very
    frame, not interpolated. A `track` that was not seen before needs a fresh latent state.
    weight: how much of the restored face may be painted, above 0 to 1."""

    track: int
    landmarks: Points
    box: Points
    seen: bool
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class _Glimpse:
    """What one frame can say of a face that was not seen in it."""

    frame: int
    witness: Witness | None
    boxes: tuple[Points, ...]

    def weight(self, sample: Points, known: Look | None, restless: float) -> float:
        if self.witness is None or known is None:
            return 1.0
        here = self.witness(sample[:5])
        taken = any(overlap(box, sample[5:].ravel()) > _TAKEN for box in self.boxes)
        return 0.0 if here is None else presence(known, here, restless, taken)


def full_lookahead(options: TrackOptions) -> int:
    """The look-ahead with which nothing differs from knowing the whole video."""
    return RADIUS + options.max_gap


class Timeline:
    """Streaming: `push` what was found in each frame, in order; `finish` gives the last frames."""

    def __init__(self, options: TrackOptions | None = None, lookahead: int | None = None) -> None:
        """lookahead: frames of delay, `full_lookahead` by default; 0 or at least `max_gap`."""
        self._options = options or TrackOptions()
        self.lookahead = full_lookahead(self._options) if lookahead is None else lookahead
        if self.lookahead != 0 and self.lookahead < self._options.max_gap:
            raise UsageError(
                f"a look-ahead of {lookahead} frames cannot tell a gap from an end; "
                f"give 0 or at least {self._options.max_gap}"
            )
        self._tracks = Tracks()
        self._paths: dict[int, _Path] = {}
        # Enough of the past to judge a gap when it ends.
        self._glimpses: deque[_Glimpse] = deque(maxlen=self._options.max_gap + 1)
        self._pushed = self._given = 0

    def push(
        self,
        detections: Sequence[Detection] | None,
        cut: bool = False,
        witness: Witness | None = None,
    ) -> list[list[TrackedFace]]:
        """Take one frame: its detections (None: not looked), and whether it begins a new shot.
        witness: tells what a place looks like in this frame; it is kept for a few frames.

        Gives the faces of the frame `lookahead` ago: nothing for the first frames, then one list
        each time.
        """
        if cut:
            self._close_shot()
        boxes = tuple(face.box for face in detections or ())
        self._glimpses.append(_Glimpse(self._pushed, witness, boxes))
        step = advance(self._tracks, detections, self._pushed, self._options)
        self._take(step)
        self._pushed += 1
        return [self._next()] if self._pushed > self._given + self.lookahead else []

    def finish(self) -> list[list[TrackedFace]]:
        """The faces of the frames that are still owed; the video ends here."""
        self._close_shot()
        return [self._next() for _ in range(self._pushed - self._given)]

    def _close_shot(self) -> None:
        self._take(reset(self._tracks, self._options), shot_end=self._pushed)

    def _take(self, step: Step, shot_end: int | None = None) -> None:
        self._tracks = step.tracks
        for track in step.tracks.living:
            path = self._paths.get(track.id)
            if path is None:
                live = self.lookahead == 0
                path = self._paths[track.id] = _Path(track.first, live, self._glimpses)
            path.follow(track)
        for track in step.ended:
            end = shot_end if track.missed is None else track.missed
            self._paths[track.id].close(track, end if end is not None else track.last + 1)

    def _next(self) -> list[TrackedFace]:
        frame = self._given
        self._given += 1
        shown = [(key, path.at(frame)) for key, path in self._paths.items()]
        self._paths = {k: p for k, p in self._paths.items() if not p.is_done(self._given)}
        return [
            TrackedFace(key, sample[:5], sample[5:].ravel(), seen, weight)
            for key, found in shown
            if found is not None
            for sample, seen, weight in [found]
            if weight > 0
        ]


class _Path:
    """The places of one track, frame by frame: filled, smoothed, forgotten once given.

    A sample is (7, 2): five landmarks and the two corners of the box.
    """

    def __init__(self, first: int, live: bool, glimpses: deque[_Glimpse]) -> None:
        self._first, self._end = first, first  # frames [first, end) are settled
        self._live, self._glimpses = live, glimpses
        self._weights: dict[int, float] = {}
        self._track: Track | None = None
        self._look: Look | None = None
        self._last: Points | None = None
        self._hits: deque[int] = deque()
        self._believed = self._closed = False
        self._smoother = LookaheadSmoother()
        self._causal: CausalState | None = None

    def follow(self, track: Track) -> None:
        """Take the newest hit, if there is one, and fill what lies between it and the last."""
        self._believed, self._track = track.confirmed, track
        if track.last < self._end:
            return
        new = np.concatenate([track.detection.landmarks, track.detection.box.reshape(2, 2)])
        steps = track.last - self._end + 1
        old = new if self._last is None else self._last
        for n in range(1, steps + 1):
            self._settle(old + (new - old) * (n / steps), seen=n == steps)
        self._last, self._look = new, track.look
        self._hits.append(track.last)
        if self._live:
            self._causal = smooth_causally(self._causal, track.detection.landmarks)

    def close(self, track: Track, end: int) -> None:
        """The track is over; up to `end`, where nobody looked, it stood where it was last."""
        self.follow(track)
        self._closed = True
        if self._last is not None:
            for _ in range(end - self._end):
                self._settle(self._last, seen=False)

    def at(self, frame: int) -> tuple[Points, bool, float] | None:
        """The smoothed sample, whether it was seen and its weight; None if it is not shown."""
        if frame < self._first or (self._closed and frame >= self._end):
            return None
        seen = frame in self._hits
        if self._live:
            return self._at_once(frame, seen)
        sample, weight = self._smoother.pop(), self._weights.pop(frame, 1.0)
        while self._hits and self._hits[0] <= frame:
            self._hits.popleft()
        return (sample, seen, weight) if self._believed else None

    def is_done(self, frame: int) -> bool:
        return self._closed and frame >= self._end

    def _at_once(self, frame: int, seen: bool) -> tuple[Points, bool, float] | None:
        self._hits.clear()
        if not self._believed or self._causal is None or self._last is None:
            return None
        sample = np.concatenate([self._causal.smooth, self._last[5:]])
        weight = 1.0 if seen else self._faded(frame) * self._presence(frame, sample)
        return sample, seen, weight

    def _faded(self, frame: int) -> float:
        assert self._track is not None
        missed = self._track.missed
        return 1.0 if missed is None else max(0.0, 1.0 - (frame - missed + 1) / _FADE_FRAMES)

    def _presence(self, frame: int, sample: Points) -> float:
        restless = 0.0 if self._track is None else self._track.restless
        for glimpse in self._glimpses:
            if glimpse.frame == frame:
                return glimpse.weight(sample, self._look, restless)
        return 1.0

    def _settle(self, sample: Points, seen: bool) -> None:
        if not self._live:
            if not seen:
                self._weights[self._end] = self._presence(self._end, sample)
            self._smoother.add(sample)
        self._end += 1
