"""What the demo shows: the clips side by side, and one column of each over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from keeprt.benchmarks.demo import Demo, write_png
from keeprt.benchmarks.evaluate.flicker import flicker_picture, stretched
from keeprt.engine.frame.pixels import Picture
from keeprt.engine.media import open_sink, open_source

_CAPTION_PX = 22


def write_pictures(demo: Demo) -> list[Path]:
    """restored.mp4, side_by_side.mp4 and .png, flicker.png; their paths."""
    names = ("restored.mp4", "side_by_side.mp4", "side_by_side.png", "flicker.png")
    restored, video, picture, flicker = (demo.out / name for name in names)
    rows = [np.hstack(frames) for frames in zip(*demo.clips.values(), strict=True)]
    _write_video(demo, restored, demo.stream)
    _write_video(demo, video, rows)
    write_png(picture, captioned(rows[len(rows) // 2], list(demo.clips)))
    write_png(flicker, flicker_sheet(demo))
    return [restored, video, picture, flicker]


def flicker_sheet(demo: Demo) -> Picture:
    """The middle column of each clip over time, side by side, each as wide as a face."""
    size = demo.bundle.face_size
    columns = [
        cv2.resize(stretched(flicker_picture(frames), size), (size, size), None, 0, 0, 0)
        for frames in demo.clips.values()
    ]
    return captioned(np.hstack(columns), [f"{name}, over time" for name in demo.clips])


def captioned(row: Picture, captions: Sequence[str]) -> Picture:
    """A row of pictures of one width, with a line of text above each."""
    strip = np.full((_CAPTION_PX, row.shape[1], 3), 255, np.uint8)
    width = row.shape[1] // len(captions)
    for index, text in enumerate(captions):
        place = (index * width + 4, _CAPTION_PX - 7)
        cv2.putText(strip, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([strip, row])


def _write_video(demo: Demo, path: Path, pictures: Sequence[Picture]) -> None:
    height, width = pictures[0].shape[:2]
    with (
        open_source(demo.input) as degraded,
        open_sink(path, degraded.info, width=width, height=height) as sink,
    ):
        for picture, frame in zip(pictures, degraded, strict=True):
            sink.write_rgb(picture, frame)
