"""Flow-warping error: how much a clip changes over time beyond the motion of the sharp clip.

After Lai et al., "Learning Blind Video Temporal Consistency" (ECCV 2018): frame t is compared with
frame t-1 warped onto it, where the motion is known; E_warp(t) = mean |V_t - warp(V_t-1)|^2 over the
pixels that are seen in both frames and over the three channels, with values in [0, 1]. A steady
result has a small one, and so has a blurred result: read it beside PSNR, and against the sharp
clip's own.

Two choices are ours, since the paper's flow network comes with no package: the flow is OpenCV's DIS
(Kroeger et al. 2016) between the *sharp* frames, so that all methods are judged by one motion; a
pixel counts as seen where forward and backward flow f, b agree (Sundaram et al. 2010):
|f + b(x + f)|^2 <= 0.01 (|f|^2 + |b|^2) + 0.5, and where x + f lies inside the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from keeprt.benchmarks.evaluate.measure import E_WARP, Measure, Series
from keeprt.export.training.degradation import Frame

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Motion:
    """From frame t to t-1. source: (H, W, 2) float32 x, y that each pixel comes from; seen: bool
    (H, W), False where that is hidden or outside."""

    source: Float32
    seen: NDArray[np.bool_]


def warping_measure() -> Measure:
    """E_warp with the motion of the sharp clip; the first frame has none."""
    return Measure(E_WARP, "OpenCV DIS flow of the sharp clip", clip_motion, warping_errors)


def clip_motion(sharp: Sequence[Frame]) -> list[Motion]:
    """The motion of each frame but the first."""
    grey = [np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8) for frame in sharp]
    return [_motion(now, before) for before, now in pairwise(grey)]


def warping_errors(motions: Sequence[Motion], frames: Sequence[Frame]) -> Series:
    """E_warp(t) of every frame; None for the first, and where nothing is seen twice."""
    errors: Series = [None]
    for motion, before, now in zip(motions, frames[:-1], frames[1:], strict=True):
        warped = warp(_unit(before), motion.source)
        squared = np.square(_unit(now) - warped)[motion.seen]
        errors.append(float(squared.mean(dtype=np.float64)) if squared.size else None)
    return errors


def warp(picture: Float32, source: Float32) -> Float32:
    """The picture (H, W, C) sampled bilinearly at `source` (H, W, 2), 0 outside."""
    return np.asarray(
        cv2.remap(
            picture,
            source[..., 0],
            source[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
        ),
        np.float32,
    )


def _unit(frame: Frame) -> Float32:
    return np.asarray(frame, np.float32) / np.float32(255)


def _motion(now: NDArray[np.uint8], before: NDArray[np.uint8]) -> Motion:
    forward, backward = _flow(now, before), _flow(before, now)
    height, width = now.shape
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
    source = np.asarray(grid + forward, np.float32)
    back = warp(backward, source)
    disagreement = np.square(forward + back).sum(axis=-1)
    allowed = 0.01 * (np.square(forward) + np.square(back)).sum(axis=-1) + 0.5
    inside = (source >= 0).all(axis=-1) & (source <= (width - 1, height - 1)).all(axis=-1)
    return Motion(source, inside & (disagreement <= allowed))


def _flow(start: NDArray[np.uint8], end: NDArray[np.uint8]) -> Float32:
    """(H, W, 2) float32: where each pixel of `start` lies in `end`, less its own place."""
    # a fresh instance each time: DIS keeps buffers, and a flow must not depend on the one before
    search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(search.calc(start, end, None), np.float32)
