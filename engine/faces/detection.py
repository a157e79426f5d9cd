"""A found face, and the one protocol behind which every detector stands."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from keeprt.engine.faces.look import Look

Rgb = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Detection:
    """One face of one frame, in pixels of that frame (pixel centres at whole numbers).

    box: (4,) float64, x1 y1 x2 y2, may reach over the picture's border. score: 0 to 1.
    landmarks: (5, 2) float64 x, y of left eye, right eye, nose, left and right mouth corner, where
    left and right are those of the picture. look: None where nobody compares faces.
    """

    box: Points
    score: float
    landmarks: Points
    look: Look | None = None

    @property
    def size(self) -> float:
        """Side of the square of the box's area, in pixels."""
        width, height = self.box[2:] - self.box[:2]
        return float(np.sqrt(max(width, 0.0) * max(height, 0.0)))


class Detector(Protocol):
    """Finds faces in a picture."""

    def detect(self, rgb: Rgb) -> list[Detection]:
        """Faces of an RGB picture, uint8 (H, W, 3), best score first; empty if there are none."""
        ...


def suppress_overlaps(detections: list[Detection], max_overlap: float) -> list[Detection]:
    """Greedy non-maximum suppression by intersection over union; best score first."""
    kept: list[Detection] = []
    for candidate in sorted(detections, key=lambda d: -d.score):
        if all(overlap(candidate.box, other.box) < max_overlap for other in kept):
            kept.append(candidate)
    return kept


def overlap(box: Points, other: Points) -> float:
    """Intersection over union of two x1 y1 x2 y2 boxes, 0 to 1."""
    sides = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
    common = float(np.prod(np.maximum(sides, 0.0)))
    union = float(np.prod(box[2:] - box[:2]) + np.prod(other[2:] - other[:2])) - common
    return common / union if union > 0 else 0.0


def scale_detection(detection: Detection, factor: float) -> Detection:
    """The same face in a picture enlarged by `factor`, pixel centres at whole numbers in both."""
    shift = (factor - 1.0) / 2.0
    return replace(
        detection,
        box=detection.box * factor + shift,
        landmarks=detection.landmarks * factor + shift,
    )
