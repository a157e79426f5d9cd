"""Which faces of a frame are restored: all, the largest, the most central; none too small."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from keeprt.engine.errors import UsageError
from keeprt.engine.faces.detection import Detection, Points

# A detector's box ends at the forehead; the head goes on by about a third of the box's height.
_HAIR = 0.35
_INCUMBENT_BONUS = 1.25
_INCUMBENT_MIN_SIZE = 0.8


@dataclass(frozen=True)
class Choice:
    """count: how many faces at most, None for all. central: rank by nearness to the centre, not by
    size. min_size: shorter side of the box, in pixels of the frame."""

    count: int | None = None
    central: bool = False
    min_size: float = 0.0


def parse_choice(text: str, min_size: float = 0.0) -> Choice:
    """`all`, `largest`, `center`, or N for the N largest. Raises UsageError for anything else."""
    named = {
        "all": Choice(min_size=min_size),
        "largest": Choice(1, min_size=min_size),
        "center": Choice(1, central=True, min_size=min_size),
    }
    if text in named:
        return named[text]
    if re.fullmatch(r"[1-9][0-9]{0,3}", text):
        return Choice(int(text), min_size=min_size)
    raise UsageError(f"faces = {text!r} is unknown; give all, largest, center or a number from 1")


def choose(
    boxes: dict[int, Points],
    frame_size: tuple[int, int],
    choice: Choice,
    incumbents: Collection[int] = (),
) -> list[int]:
    """Ids of the chosen faces, best first. boxes: id to (4,) x1 y1 x2 y2. frame_size: height,
    width.

    `incumbents`, those chosen in the last frame, lose their place only to a clearly better face, so
    that two faces of about the same size do not take turns, each losing its latent state every
    time.
    """
    ranked = []
    for face, box in boxes.items():
        width, height = box[2:] - box[:2]
        holds = face in incumbents
        if min(width, height) < choice.min_size * (_INCUMBENT_MIN_SIZE if holds else 1.0):
            continue
        merit = _centrality(box, frame_size) if choice.central else _visible_area(box, frame_size)
        ranked.append((-merit * (_INCUMBENT_BONUS if holds else 1.0), face))
    return [face for _, face in sorted(ranked)[: choice.count]]


def without_hidden(faces: Sequence[Detection], max_hidden: float = 0.2) -> list[Detection]:
    """Faces of which at most the fraction `max_hidden` lies behind the head of a larger one.

    The crop of a hidden face shows the other person's head: restoring it would paint over the
    nearer person and mix two people in one latent state. 1.0 keeps every face.
    """
    return [
        face
        for face in faces
        if all(_hidden(face, other) <= max_hidden for other in faces if other.size > face.size)
    ]


def _hidden(face: Detection, nearer: Detection) -> float:
    head = nearer.box.copy()
    head[1] -= _HAIR * (head[3] - head[1])
    sides = np.minimum(face.box[2:], head[2:]) - np.maximum(face.box[:2], head[:2])
    area = float(np.prod(face.box[2:] - face.box[:2]))
    return float(np.prod(np.maximum(sides, 0.0))) / area if area > 0 else 0.0


def _visible_area(box: Points, frame_size: tuple[int, int]) -> float:
    limit = np.array(frame_size[::-1], np.float64)
    sides = np.clip(box[2:], 0, limit) - np.clip(box[:2], 0, limit)
    return float(np.prod(sides))


def _centrality(box: Points, frame_size: tuple[int, int]) -> float:
    centre = np.array(frame_size[::-1], np.float64) / 2
    return 1.0 / (1.0 + float(np.linalg.norm((box[:2] + box[2:]) / 2 - centre)))
