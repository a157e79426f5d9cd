"""Put restored faces back into PQ and HLG video: what the network changed in the SDR picture, as a
change of the code values. Where it changed nothing, no code value changes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from keeprt.engine.faces.painting.compositing import (
    Float32,
    Patch,
    Region,
    add,
    residual,
    touched,
    warp_change,
)
from keeprt.engine.faces.painting.planes import YuvFormat, change_matrix, chroma_transform
from keeprt.engine.faces.painting.prefilter import warp_smoothed
from keeprt.engine.faces.tone import Tone

_LUMA = np.array([[0.2627, 0.6780, 0.0593]], np.float32)
Rgb16 = npt.NDArray[np.uint16]


def composite_hdr_rgb(frame: Rgb16, patch: Patch, tone: Tone, grey: bool = False) -> Region:
    """`composite_rgb` for HDR code values over the whole range of 16 bits."""
    region = touched(patch.affine, frame.shape[:2], patch.size)
    if not region.empty:
        change = _change(frame[region.slices], patch, region, tone)
        if grey:
            change = np.repeat(_transform(change, _LUMA)[..., None], 3, axis=2)
        add(frame, change * np.float32(65535 / 255), region, 0xFFFF)
    return region


def composite_hdr_planes(
    planes: tuple[npt.NDArray[Any], ...],
    form: YuvFormat,
    patch: Patch,
    tone: Tone,
    seen: tuple[Rgb16, int, int],
    grey: bool = False,
) -> Region:
    """`composite_planes` for HDR code values. seen: the planes as RGB where the patch lies, at
    least, and the left and top pixel of it."""
    region = touched(patch.affine, planes[0].shape, patch.size)
    if region.empty:
        return region
    rgb, left, top = seen
    part = rgb[region.top - top : region.bottom - top, region.left - left : region.right - left]
    change = _change(part, patch, region, tone)
    highest = (1 << form.depth) - 1
    add(planes[0], _transform(change, change_matrix(form)[:1]), region, highest)
    if not grey:
        chroma = _transform(change, change_matrix(form)[1:])
        for index, plane in enumerate(planes[1:]):
            _add_chroma(plane, np.ascontiguousarray(chroma[..., index]), region, form, highest)
    return region


def _change(rgb: Rgb16, patch: Patch, region: Region, tone: Tone) -> Float32:
    return tone.change(rgb, warp_change(residual(patch), patch.affine, region))


def _transform(change: Float32, matrix: Float32) -> Float32:
    return np.asarray(cv2.transform(change, matrix), np.float32)


def _add_chroma(
    plane: npt.NDArray[Any], change: Float32, luma: Region, form: YuvFormat, highest: int
) -> None:
    right, bottom = -(-luma.right // form.step_x), -(-luma.bottom // form.step_y)
    region = Region(luma.left // form.step_x, luma.top // form.step_y, right, bottom)
    to_luma = chroma_transform(np.array([[1.0, 0, -luma.left], [0, 1.0, -luma.top]]), form)
    to_luma[:, 2] += to_luma[:, :2] @ (region.left, region.top)
    size = (region.bottom - region.top, region.right - region.left)
    add(plane, np.asarray(warp_smoothed(change, to_luma, size), np.float32), region, highest)
