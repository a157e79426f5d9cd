"""Decoded and re-encoded videos, and what of them a restoration may change."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from keeprt.engine.media import open_sink, open_source
from keeprt.engine.pipeline import Encoding
from tests.engine.masks import frame_mask
from tests.engine.pipeline_clips import (
    Scripted,
    Watched,
    astronaut_at,
    copied_planes,
)

LOSSLESS = Encoding(codec="libx264", crf=0, preset="ultrafast")


def scripted(left: float, top: float, side: float, drift: float = 1.0) -> Scripted:
    """The face of `one_face` and its like, found without a network."""
    return Scripted(lambda width, height, n: [astronaut_at(left + drift * n, top, side)])


def decoded(path: Path) -> list[tuple[Any, ...]]:
    with open_source(path) as video:
        return [copied_planes(frame.native) for frame in video]


def rgb_of(path: Path) -> list[Any]:
    with open_source(path) as video:
        return [frame.rgb() for frame in video]


def plain_reencode(source: Path, out: Path) -> Path:
    with ExitStack() as opened:
        video = opened.enter_context(open_source(source))
        sink = opened.enter_context(open_sink(out, video.info, crf=0, preset="ultrafast"))
        for frame in video:
            sink.write(frame)
    return out


def masks(watched: Watched, face_size: int) -> list[Any]:
    """Per frame, in stored pixels, where some face's mask is above 0 and where it is 1."""
    found = []
    for work in watched.works:
        info = work.frame.info
        width, height = info.upright_size
        mask = np.zeros((height, width), np.float32)
        for face in work.faces:
            mask = np.maximum(mask, frame_mask(face.affine, (height, width), face_size))
        upright = np.repeat(np.uint8(np.ceil(mask * 255))[..., None], 3, 2)
        found.append(info.orientation.stored(upright)[..., 0])
    return found


def assert_only_faces_changed(watched: Watched, before: list[tuple[Any, ...]], size: int) -> None:
    """Every plane is the decoded one outside the masks; luma is another where a mask is 1."""
    assert len(watched.frames) == len(before)
    changed = 0
    for planes, old, mask in zip(watched.frames, before, masks(watched, size), strict=True):
        assert len(planes) == len(old)
        for plane, was in zip(planes, old, strict=True):
            assert plane.dtype == was.dtype and plane.shape == was.shape
            free = shrunk(mask, plane.shape) == 0
            assert free.sum() > 0.2 * free.size
            assert np.array_equal(plane[free], was[free])
        changed += int((planes[0][mask == 255] != old[0][mask == 255]).sum())
    assert changed > 500 * len(before)


def shrunk(mask: Any, shape: tuple[int, ...]) -> Any:
    """The largest value of the mask around each sample of a plane."""
    import cv2

    wide = cv2.dilate(mask, np.ones((5, 5), np.uint8))
    steps = [-(-mask.shape[axis] // shape[axis]) for axis in (0, 1)]
    return wide[:: steps[0], :: steps[1]][: shape[0], : shape[1]]


def shown(source: Path, watched: Watched) -> list[tuple[Any, Any]]:
    """The source's pictures and the works of those frames that show a face without delay."""
    return list(zip(rgb_of(source), watched.works, strict=True))[2:]
