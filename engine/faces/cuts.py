"""Hard cuts in a video: a content score in HSV, and what tells a cut from a flash or a pan.

The score is that of PySceneDetect's content detector, the mean absolute difference of hue,
saturation and value of two small pictures (hue the short way round its circle). A cut is a frame
where every one of the last few frames differs from every one of the next few (a flash comes back
to what was before), and where the step stands out from the steps around it (in a pan all are
alike). Dissolves and fades are no cuts: the tracks end or carry on by what the detector sees.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from keeprt.engine.faces.detection import Rgb

_WIDTH, _HEIGHT = 64, 36
_CERTAIN = 64.0  # saturation or value from which hue can be trusted
_BACK = 4  # frames before the one in question
Thumbnail = npt.NDArray[Any]


@dataclass(frozen=True)
class CutOptions:
    """threshold: least content score of a cut, in 8-bit levels. prominence: least ratio to the
    steps around it. lookahead: frames seen after the one in question; 0 decides at once, and then
    takes the
    beginning of a flash for a cut."""

    threshold: float = 20.0
    prominence: float = 2.0
    lookahead: int = 3


def thumbnail(rgb: Rgb) -> Thumbnail:
    """What the score compares: uint8 (36, 64, 3), hue 0..179, saturation and value 0..255."""
    small = cv2.resize(rgb, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2HSV)


def content_score(one: Thumbnail, other: Thumbnail) -> float:
    """Mean absolute difference of hue, saturation and value, in 8-bit levels (hue: 0..90).

    Hue counts less where there is little saturation, and both where it is dark: there they are
    noise.
    """
    first, second = one.astype(np.float64), other.astype(np.float64)
    hue, saturation, value = np.moveaxis(np.abs(first - second), -1, 0)
    hue = np.minimum(hue, 180 - hue)
    certain = np.minimum(np.minimum(first, second) / _CERTAIN, 1.0)
    hue *= certain[..., 1] * certain[..., 2]
    saturation *= certain[..., 2]
    return float((hue + saturation + value).mean() / 3)


class CutDetector:
    """Streaming: `push` frames in order; answers come `lookahead` frames later."""

    def __init__(self, options: CutOptions | None = None) -> None:
        self._options = options or CutOptions()
        # One frame more than is compared, so that the first step has a length too.
        self._recent: deque[Thumbnail] = deque(maxlen=_BACK + 2 + self._options.lookahead)
        self._waiting = 0

    def push(self, rgb: Rgb) -> list[bool]:
        """Take the next frame, uint8 (H, W, 3). Gives whether a frame begins a shot: nothing for
        the first `lookahead` frames, then one answer each time."""
        self._recent.append(thumbnail(rgb))
        self._waiting += 1
        return [self._answer()] if self._waiting > self._options.lookahead else []

    def finish(self) -> list[bool]:
        """The answers for the last frames."""
        return [self._answer() for _ in range(self._waiting)]

    def _answer(self) -> bool:
        frames = list(self._recent)
        at = len(frames) - self._waiting
        self._waiting -= 1
        return begins_shot(frames, at, self._options)


def begins_shot(frames: list[Thumbnail], at: int, options: CutOptions) -> bool:
    """Whether frames[at] begins a new shot, judged by the frames around it."""
    if at == 0:
        return False
    before, after = frames[max(0, at - _BACK) : at], frames[at : at + options.lookahead + 1]
    step = content_score(before[-1], after[0])
    if step < options.threshold:
        return False
    others = [i for i in range(max(1, at - _BACK), len(frames)) if i != at]
    steps = [content_score(frames[i - 1], frames[i]) for i in others]
    if steps and step < options.prominence * float(np.median(steps)):
        return False
    return min(content_score(a, b) for a in before for b in after) >= options.threshold
