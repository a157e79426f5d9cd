"""The picture in which faces are sought: small, upright, of square pixels; and where it lies."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from keeprt.engine.faces.detection import Detection, Points, Rgb
from keeprt.engine.faces.landmark_file import DECIMALS


@dataclass(frozen=True, eq=False)
class View:
    """rgb: uint8 (h, w, 3). scale, shift: (2,); a point p of the picture is scale * p + shift in
    the frame."""

    rgb: Rgb
    scale: Points
    shift: Points

    @staticmethod
    def of(rgb: Rgb, frame_size: tuple[int, int], parity: int | None = None) -> View:
        """A picture of a whole frame of (height, width). parity: 0 or 1 if it shows the even or odd
        lines alone; these lie half a line above or below the middle of each pair."""
        scale = np.array(frame_size[::-1]) / rgb.shape[1::-1]
        shift = (scale - 1.0) / 2.0
        if parity is not None:
            shift += (0.0, parity - 0.5)
        return View(rgb, scale, shift)

    def in_picture(self, points: Points) -> Points:
        """Points (n, 2) of the frame in pixels of the picture."""
        return np.asarray((points - self.shift) / self.scale)

    def in_frame(self, face: Detection) -> Detection:
        """A face found in the picture, in pixels of the frame.

        Rounded as a landmark file rounds: what it is reused for is then the same.
        """
        box = face.box.reshape(2, 2) * self.scale + self.shift
        landmarks = face.landmarks * self.scale + self.shift
        return replace(
            face, box=np.round(box.ravel(), DECIMALS), landmarks=np.round(landmarks, DECIMALS)
        )
