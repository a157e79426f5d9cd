"""What comes back of a frame, wherever it ran."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Done:
    """A frame that is over, by row: what was restored (a picture for each face, or the whole
    frame), codebook indices (faces, tokens), and the rows whose network said something that is no
    number."""

    restored: Any
    codes: NDArray[np.int64]
    broken: tuple[int, ...]


def broken_rows(margins: NDArray[np.floating[Any]]) -> tuple[int, ...]:
    """Rows of margins (faces, tokens) in which one is NaN."""
    least = margins.min(initial=0)  # NaN where any is, in one pass over what hardly ever has one
    if least == least:
        return ()
    return tuple(int(row) for row in np.flatnonzero(np.isnan(margins).any(axis=1)))
