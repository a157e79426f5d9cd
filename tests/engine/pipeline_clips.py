"""Clips with real faces for the tests of whole frames, and a sink that keeps what it is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from keeprt.engine.faces.detection import Detection
from keeprt.engine.media import Orientation, SourceFrame, VideoInfo
from keeprt.engine.media.writing.sink import Sink
from keeprt.engine.pipeline.native import planes_of
from keeprt.engine.pipeline.painting import Painter
from keeprt.engine.pipeline.work import FrameWork
from tests.engine.media.clips import Clip, make_clip, to_frame

Rgb = NDArray[np.uint8]
# The astronaut's head, the middle of it, and her landmarks in the 512 x 512 picture.
HEAD, HEAD_SIDE = (slice(0, 240), slice(110, 350)), 240
ASTRONAUT_LANDMARKS = np.array(
    [[205.0, 111.0], [244.0, 109.0], [228.0, 132.0], [212.0, 153.0], [243.0, 151.0]]
)


def rotation_matrix(degrees_ccw: int) -> tuple[int, ...]:
    """FFmpeg's display matrix of a counter-clockwise turn (16.16 fixed point, 2.30 at the end)."""
    angle = math.radians(degrees_ccw)
    cos, sin = round(math.cos(angle) * 65536), round(math.sin(angle) * 65536)
    return (cos, -sin, 0, sin, cos, 0, 0, 0, 1 << 30)


def background(height: int, width: int, seed: int = 0) -> Rgb:
    """Soft coloured texture, uint8 (height, width, 3)."""
    noise = np.random.RandomState(seed).standard_normal((height // 8 + 2, width // 8 + 2, 3))
    soft = cv2.resize(noise.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(110 + 30 * soft, 0, 255).astype(np.uint8)


def with_face(picture: Rgb, left: int, top: int, side: int, mirrored: bool = False) -> Rgb:
    """A copy with a real head pasted as a square; may reach over the border."""
    from skimage.data import astronaut

    head = cv2.resize(astronaut()[HEAD], (side, side), interpolation=cv2.INTER_AREA)
    head = head[:, ::-1] if mirrored else head
    result = picture.copy()
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    result[y0:y1, x0:x1] = head[y0 - top : y1 - top, x0 - left : x1 - left]
    return result


def one_face(count: int, width: int = 320, height: int = 240, side: int = 180) -> list[Rgb]:
    """A face that drifts over a still background."""
    scene = background(height, width)
    return [
        with_face(scene, (width - side) // 2 + n, (height - side) // 2, side) for n in range(count)
    ]


def two_faces_then_cut(before: int, after: int) -> list[Rgb]:
    """Two faces, then, in another scene, one."""
    first, second = background(270, 480), 255 - background(270, 480, seed=1) // 2
    return [
        with_face(with_face(first, 20 + n, 60, 180), 270, 50, 170, mirrored=True)
        for n in range(before)
    ] + [with_face(second, 130, 20, 220, mirrored=True) for _ in range(after)]


def write_clip(
    path: Path, pictures: Sequence[Rgb], pixel_format: str = "yuv420p", **how: Any
) -> Path:
    """`make_clip` of upright pictures, stored turned if `rotation_ccw` is given."""
    matrix = rotation_matrix(how["rotation_ccw"]) if how.get("rotation_ccw") else None
    stored = [Orientation.from_matrix(matrix).stored(picture) for picture in pictures]
    height, width = stored[0].shape[:2]
    how.setdefault("pts", tuple(range(len(pictures))))
    clip = Clip(width=width, height=height, pixel_format=pixel_format, **how)
    return make_clip(path, clip, [to_frame(picture, pixel_format) for picture in stored])


class Scripted:
    """A detector that answers by a function of the picture's (width, height) and its turn."""

    def __init__(self, answer: Callable[[int, int, int], list[Detection]]) -> None:
        self.answer, self.calls = answer, 0

    def detect(self, rgb: Rgb) -> list[Detection]:
        self.calls += 1
        return self.answer(rgb.shape[1], rgb.shape[0], self.calls - 1)


def astronaut_at(left: float, top: float, side: float) -> Detection:
    """Where `with_face` put the face."""
    scale = side / HEAD_SIDE
    points = (ASTRONAUT_LANDMARKS - (110, 0)) * scale + (left, top)
    low, high = points.min(0) - 35 * scale, points.max(0) + 30 * scale
    return Detection(np.concatenate([low, high]), 0.9, points)


class KeptFrames(Sink):
    """Planes, or RGB, of every frame as it would be encoded."""

    def __init__(self, path: Path, like: VideoInfo) -> None:
        self.path, self.like = path, like
        self.frames: list[tuple[NDArray[Any], ...]] = []
        self.times: list[int] = []
        self.closed = self.aborted = False

    def write(self, frame: SourceFrame | av.VideoFrame) -> None:
        native = frame.native if isinstance(frame, SourceFrame) else frame
        self.frames.append(copied_planes(native))
        self.times.append(native.pts)

    def write_rgb(self, rgb: Any, like: SourceFrame) -> None:
        self.frames.append((rgb.copy(),))
        self.times.append(like.native.pts)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True


def copied_planes(native: av.VideoFrame) -> tuple[NDArray[Any], ...]:
    """Code values (h, w) per plane of a planar frame."""
    depth = native.format.components[0].bits
    return tuple(plane.copy() for plane in planes_of(native, depth))


class Watched:
    """What a run of the pipeline did before encoding: the sink's frames and the frames' faces."""

    def __init__(self, monkeypatch: Any) -> None:
        self.works: list[FrameWork] = []
        self.sinks: list[KeptFrames] = []
        watched = self

        class WatchedPainter(Painter):
            def paint(self, work: FrameWork) -> None:
                watched.works.append(work)
                super().paint(work)

        def open_sink(path: Any, like: VideoInfo, **_: Any) -> KeptFrames:
            watched.sinks.append(KeptFrames(Path(path), like))
            return watched.sinks[-1]

        monkeypatch.setattr("keeprt.engine.pipeline.video.Painter", WatchedPainter)
        monkeypatch.setattr("keeprt.engine.pipeline.video.open_sink", open_sink)

    @property
    def frames(self) -> list[tuple[NDArray[Any], ...]]:
        return self.sinks[-1].frames
