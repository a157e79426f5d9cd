"""Faces through a restorer in stream mode, for its tests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from keeprt.engine import FaceState, Restorer

WINDOW = 4
FRAMES = 9


def rows(restorer: Restorer, name: str, count: int = 1) -> np.ndarray:
    return restorer._frames.peek(name, count).copy()


def stream(
    restorer: Restorer, pictures: list[np.ndarray], state: FaceState | None = None
) -> Iterator[tuple[np.ndarray, FaceState]]:
    state = state or restorer.new_state()
    for picture in pictures:
        restored, state = restorer.restore(picture, state)
        yield restored, state


def pictures_of(restorer: Restorer, pictures: list[np.ndarray]) -> list[np.ndarray]:
    return [restored for restored, _ in stream(restorer, pictures)]
