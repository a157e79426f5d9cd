"""The stage that cuts out: the crop of each face, from the region of the frame that it needs."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

import numpy as np

from keeprt.engine.errors import FaceError
from keeprt.engine.faces.alignment import Affine, crop_face, estimate_transform
from keeprt.engine.faces.detection import Points, Rgb
from keeprt.engine.faces.painting.grey import chroma_variance, colour_variance, is_grey
from keeprt.engine.faces.painting.planes import YuvFormat
from keeprt.engine.faces.painting.prefilter import footprint, invert
from keeprt.engine.media import SourceFrame
from keeprt.engine.pipeline.native import (
    compose,
    native_affine,
    of_field,
    planar,
    planes_of,
    square_pixels,
    yuv_format,
)
from keeprt.engine.pipeline.pictures import Pictures
from keeprt.engine.pipeline.work import AlignedFace, FrameWork, Summary

log = logging.getLogger(__name__)
_NO_CROP = np.empty((0, 0, 3), np.uint8)


class Aligner:
    """Gives the faces of each frame their aligned crops, (face_size, face_size, 3)."""

    def __init__(
        self, face_size: int, summary: Summary, threads: int = 0, crops: bool = True
    ) -> None:
        """threads: swscale's, 0 for one per core. crops: off, a device cuts them out."""
        self._size, self._summary, self._crops = face_size, summary, crops
        self._pictures, self._grey = Pictures(threads), False

    def step(self, work: FrameWork) -> FrameWork:
        """The same frame, in order."""
        with self._summary.timed("align"):
            form = yuv_format(work.frame)
            self._grey = self._grey and not work.cut
            if work.found:
                variance = _colour_variance(work.frame, form)
                work.grey = self._grey = is_grey(variance, self._grey)
            for found in work.found:
                affine = _transform(work, found.landmarks, self._size)
                if affine is not None:
                    crop = self._crop(work.frame, form, affine)
                    work.faces.append(AlignedFace(found, affine, crop))
        return work

    def _crop(self, frame: SourceFrame, form: YuvFormat | None, affine: Affine) -> Rgb:
        if not self._crops:
            return _NO_CROP
        return crop_of(frame, form, affine, self._size, self._pictures)


def align(
    works: Iterable[FrameWork],
    face_size: int,
    summary: Summary,
    threads: int = 0,
    crops: bool = True,
) -> Iterator[FrameWork]:
    """The same frames with the aligned crops of their faces, or with where these lie alone."""
    return map(Aligner(face_size, summary, threads, crops).step, works)


def crop_of(
    frame: SourceFrame, form: YuvFormat | None, affine: Affine, size: int, pictures: Pictures
) -> Rgb:
    """The aligned face as `crop_face` cuts it from the whole upright picture."""
    if form is None:
        return crop_face(pictures.whole(frame), of_field(affine, frame), size)
    affine = native_affine(affine, frame)
    left, top, right, bottom = _reach(affine, size, frame)
    if right <= left or bottom <= top:
        return crop_face(frame.rgb(), affine, size)
    rgb, left, top = pictures.region(frame, form, left, top, right, bottom)
    moved = affine.copy()
    moved[:, 2] += affine[:, :2] @ (left, top)
    return crop_face(rgb, moved, size)


def _colour_variance(frame: SourceFrame, form: YuvFormat | None) -> float:
    if form is None:
        return colour_variance(frame.rgb())
    return chroma_variance(planes_of(planar(frame), form.depth), form)


def _reach(affine: Affine, size: int, frame: SourceFrame) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the stored pixels that the crop is made of."""
    to_frame = invert(affine)
    corners = np.array([[0, 0], [0, size], [size, 0], [size, size]], np.float64)
    points = corners @ to_frame[:, :2].T + to_frame[:, 2]
    # What smoothing reads beyond the corners where a crop pixel covers several of the frame's.
    margin = 2 + 2 * float(footprint(to_frame[:, :2]).max())
    limit = np.array([frame.decoded.width, frame.decoded.height])
    left, top = np.clip(np.floor(points.min(0) - margin), 0, limit).astype(int)
    right, bottom = np.clip(np.ceil(points.max(0) + margin), 0, limit).astype(int)
    return int(left), int(top), int(right), int(bottom)


def _transform(work: FrameWork, landmarks: Points, size: int) -> Affine | None:
    """From pixels of the upright frame, square or not, to the crop, in which faces are square."""
    square = square_pixels(work.frame.info)
    try:
        upright = estimate_transform(landmarks @ square[:, :2].T + square[:, 2], size)
    except FaceError as error:
        # One face that cannot be aligned is no reason to give up the video.
        log.warning("frame %d: a face is left alone: %s", work.frame.index, error)
        return None
    return compose(upright, square)
