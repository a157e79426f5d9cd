"""Put restored faces back into the native planes of YUV video: any depth, any subsampling, no
conversion of the frame.

Only the change is converted: it is a difference, so the matrix alone applies (no offset, no
clipping), and what lies outside the mask keeps its code values in luma and chroma whatever matrix
the video was tagged with.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from keeprt.engine.errors import FaceError
from keeprt.engine.faces.alignment import Affine
from keeprt.engine.faces.painting.compositing import (
    Float32,
    Patch,
    Region,
    add,
    residual,
    touched,
    warp_change,
)

Matrix = Literal["bt601", "bt709", "bt2020", "fcc", "smpte240m"]
ChromaPlace = Literal["left", "center", "topleft"]
# Kr, Kb of ITU-R BT.601-7, BT.709-6 and BT.2020-2 (non-constant luminance), and of the two historic
# matrices of ITU-T H.273.
_WEIGHTS: dict[Matrix, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
    "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087),
}


@dataclass(frozen=True)
class YuvFormat:
    """How planar YUV code values stand for colour.

    depth: bits per sample, 8 to 16. step_x, step_y: luma samples per chroma sample (4:2:0 is 2, 2;
    4:2:2 is 2, 1). chroma: where a subsampled chroma sample lies; `left` is usual for H.264 and
    HEVC, `topleft` for BT.2020 UHD.
    """

    depth: int = 8
    step_x: int = 2
    step_y: int = 2
    matrix: Matrix = "bt709"
    full_range: bool = False
    chroma: ChromaPlace = "left"

    def __post_init__(self) -> None:
        if (
            not 8 <= self.depth <= 16
            or self.step_x not in (1, 2, 4)
            or self.step_y not in (1, 2, 4)
        ):
            raise FaceError(
                f"cannot composite {self.depth}-bit video with chroma steps "
                f"{self.step_x}, {self.step_y}; depths 8 to 16 and steps 1, 2, 4 are known"
            )
        if self.matrix not in _WEIGHTS or self.chroma not in get_args(ChromaPlace):
            raise FaceError(f"unknown matrix {self.matrix!r} or chroma location {self.chroma!r}")


def composite_planes(
    planes: tuple[npt.NDArray[Any], ...], form: YuvFormat, patch: Patch, grey: bool = False
) -> Region:
    """Add a patch to the planes (Y, Cb, Cr) in place, or to (Y,) for grey video; gives the luma
    region touched.

    planes: 2-D, uint8 for a depth of 8, else uint16 with the value in the low bits; rows may be
    padded views. `grey` leaves the chroma planes alone. Raises FaceError for planes that do not fit
    the format.
    """
    _check_planes(planes, form)
    luma = planes[0]
    region = touched(patch.affine, luma.shape, patch.size)
    if region.empty:
        return region
    highest = (1 << form.depth) - 1
    if grey or len(planes) == 1:
        change = _transformed(patch, change_matrix(form)[:1])
        add(luma, warp_change(change, patch.affine, region), region, highest)
        return region
    change = _transformed(patch, change_matrix(form))
    luma_change = np.ascontiguousarray(change[..., 0])
    add(luma, warp_change(luma_change, patch.affine, region), region, highest)
    chroma = np.ascontiguousarray(change[..., 1:])
    _add_chroma(planes[1:], chroma, chroma_transform(patch.affine, form), highest)
    return region


def chroma_transform(affine: Affine, form: YuvFormat) -> Affine:
    """Chroma sample coordinates to crop pixels, (2, 3), from the transform of luma pixels."""
    steps = np.array([form.step_x, form.step_y], np.float64)
    offset = np.array(
        [
            (form.step_x - 1) / 2 if form.chroma == "center" else 0.0,
            0.0 if form.chroma == "topleft" else (form.step_y - 1) / 2,
        ]
    )
    return np.column_stack([affine[:, :2] * steps, affine[:, 2] + affine[:, :2] @ offset])


def _add_chroma(
    planes: tuple[npt.NDArray[Any], ...], change: Float32, affine: Affine, highest: int
) -> None:
    region = touched(affine, planes[0].shape, len(change))
    if region.empty:
        return
    for plane, part in zip(planes, cv2.split(warp_change(change, affine, region)), strict=True):
        add(plane, np.asarray(part, np.float32), region, highest)


def _transformed(patch: Patch, matrix: Float32) -> Float32:
    return np.asarray(cv2.transform(residual(patch), matrix), np.float32)


def rgb_matrix(form: YuvFormat) -> npt.NDArray[np.float64]:
    """(3, 3): code value differences of Y, Cb, Cr to 8-bit full-range RGB differences."""
    return np.asarray(np.linalg.inv(change_matrix(form).astype(np.float64)), np.float64)


def change_matrix(form: YuvFormat) -> Float32:
    """(3, 3): 8-bit full-range RGB differences to code value differences of Y, Cb, Cr."""
    kr, kb = _WEIGHTS[form.matrix]
    luma = np.array([kr, 1 - kr - kb, kb])
    blue = (np.array([0.0, 0.0, 1.0]) - luma) / (2 * (1 - kb))
    red = (np.array([1.0, 0.0, 0.0]) - luma) / (2 * (1 - kr))
    step = 1 << (form.depth - 8)
    whole = (1 << form.depth) - 1
    scale = [whole, whole, whole] if form.full_range else [219 * step, 224 * step, 224 * step]
    rows = np.stack([luma, blue, red]) * np.array(scale)[:, None] / 255
    return np.asarray(rows, np.float32)


def _check_planes(planes: tuple[npt.NDArray[Any], ...], form: YuvFormat) -> None:
    kind = np.uint8 if form.depth == 8 else np.uint16
    if len(planes) not in (1, 3) or any(p.ndim != 2 or p.dtype != kind for p in planes):
        found = [f"{p.dtype} {p.shape}" for p in planes]
        raise FaceError(f"expected 1 or 3 planes of 2-D {np.dtype(kind)}, got {found}")
    height, width = planes[0].shape
    wanted = (-(-height // form.step_y), -(-width // form.step_x))
    if any(p.shape != wanted for p in planes[1:]):
        shapes = [p.shape for p in planes[1:]]
        raise FaceError(
            f"chroma planes of {shapes} do not fit luma {planes[0].shape}; expected {wanted}"
        )
