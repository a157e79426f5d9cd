"""The flicker picture of the KEEP paper's Fig. 5: one column of pixels over time.

What moves smoothly draws smooth lines from left to right; what flickers draws a comb.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keeprt.engine.errors import UsageError
from keeprt.export.training.degradation import Frame


def flicker_picture(frames: Sequence[Frame], column: int | None = None) -> Frame:
    """uint8 (H, T, 3): column t holds that column of frame t's pixels; the middle one by default.

    Raises UsageError for a column that the frames do not have.
    """
    width = frames[0].shape[1]
    chosen = width // 2 if column is None else column
    if not 0 <= chosen < width:
        raise UsageError(f"column {chosen} is not in a frame {width} pixels wide")
    return np.stack([frame[:, chosen] for frame in frames], axis=1)


def stretched(picture: Frame, width: int) -> Frame:
    """The same picture at least `width` wide, every frame repeated as often."""
    return np.repeat(picture, max(1, -(-width // picture.shape[1])), axis=1)
