"""Restores a video that is one aligned face, from decoded frame to written frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np

from keeprt.engine.frame.pixels import Picture
from keeprt.engine.media import Sink, SourceFrame
from keeprt.engine.restorer import Restorer
from keeprt.engine.turns import IN_FLIGHT


def restore_aligned(
    frames: Iterable[SourceFrame],
    sink: Sink,
    restorer: Restorer,
    *,
    carry_state: bool = False,
    on_frame: Callable[[], None] = lambda: None,
) -> int:
    """Restores every frame in the restorer's mode and writes it at its own time; returns how many.

    Frames of another size are resized to the network's, linearly on 8 bits, as the authors'
    script does. `carry_state` is for clip mode; `on_frame` is called after each written frame.
    """
    waiting: deque[SourceFrame] = deque()

    def faces() -> Iterator[Picture]:
        for frame in frames:
            waiting.append(frame)
            yield to_face(frame.rgb(), restorer.bundle.face_size)

    written = 0
    for restored in restored_faces(faces(), restorer, carry_state):
        sink.write_rgb(restored, waiting.popleft())
        written += 1
        on_frame()
    return written


def restored_faces(
    faces: Iterable[Picture], restorer: Restorer, carry_state: bool = False
) -> Iterator[Picture]:
    """One face's frames through whichever mode the restorer was loaded for."""
    if restorer.mode == "clip":
        yield from restorer.restore_clip(faces, carry_state=carry_state)
        return
    restorer.discard()
    states, kept = [restorer.new_state()], IN_FLIGHT - 1 if restorer.overlaps else 0
    for face in faces:
        states = restorer.submit([face], states)
        if restorer.in_flight == kept + 1:
            yield from restorer.collect()
    while restorer.in_flight:
        yield from restorer.collect()


def to_face(picture: Picture, size: int) -> Picture:
    """RGB uint8 (H, W, 3) -> (size, size, 3)."""
    if picture.shape == (size, size, 3):
        return picture
    resized = cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)
