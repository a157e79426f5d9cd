"""The stage that cuts out: the crop of each face, from the region of the frame that it needs."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

import numpy as np

from keeprt.engine.errors import FaceError
from keeprt.engine.faces.alignment import Affine, crop_face, estimate_transform
from keeprt.engine.faces.detection import Points, Rgb
from keeprt.engine.faces.grey import chroma_variance, colour_variance, is_grey
from keeprt.engine.faces.planes import YuvFormat
from keeprt.engine.faces.prefilter import footprint, invert
from keeprt.engine.media import SourceFrame
from keeprt.engine.pipeline.native import (
    planar,
    planes_of,
    stored_affine,
    yuv_format,
)
from keeprt.engine.pipeline.pictures import Pictures
from keeprt.engine.pipeline.work import AlignedFace, FrameWork, Summary

log = logging.getLogger(__name__)


def align(works: Iterable[FrameWork], face_size: int, summary: Summary) -> Iterator[FrameWork]:
    """The same frames with the aligned crops of their faces, (face_size, face_size, 3)."""
    grey, pictures = False, Pictures()
    for work in works:
        with summary.timed("align"):
            form = yuv_format(work.frame)
            grey = grey and not work.cut
            if work.found:
                work.grey = grey = is_grey(_colour_variance(work.frame, form), grey)
            for found in work.found:
                affine = _transform(work, found.landmarks, face_size)
                if affine is not None:
                    crop = crop_of(work.frame, form, affine, face_size, pictures)
                    work.faces.append(AlignedFace(found, affine, crop))
        yield work


def crop_of(
    frame: SourceFrame, form: YuvFormat | None, affine: Affine, size: int, pictures: Pictures
) -> Rgb:
    """The aligned face as `crop_face` cuts it from the whole upright picture."""
    if form is None:
        return crop_face(frame.rgb(), affine, size)
    affine = stored_affine(affine, frame.info.orientation, frame.info.upright_size)
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
    limit = np.array([frame.native.width, frame.native.height])
    left, top = np.clip(np.floor(points.min(0) - margin), 0, limit).astype(int)
    right, bottom = np.clip(np.ceil(points.max(0) + margin), 0, limit).astype(int)
    return int(left), int(top), int(right), int(bottom)


def _transform(work: FrameWork, landmarks: Points, size: int) -> Affine | None:
    try:
        return estimate_transform(landmarks, size)
    except FaceError as error:
        # One face that cannot be aligned is no reason to give up the video.
        log.warning("frame %d: a face is left alone: %s", work.frame.index, error)
        return None
