"""Laying one restored face back into a 1080p frame, our two ways and the authors'."""

from __future__ import annotations

import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from keeprt.engine.faces.alignment import FACE_SIZE, TEMPLATE, crop_face, estimate_transform
from keeprt.engine.faces.painting.compositing import Patch, composite_rgb
from keeprt.engine.faces.painting.planes import YuvFormat, composite_planes

HEIGHT, WIDTH = 1080, 1920
FACE_SIDES = (180, 360, 720)  # pixels of the frame that the aligned square covers


def authors_paste(
    picture: NDArray[np.uint8], restored: NDArray[np.uint8], affine: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """docs/model.md, section 15.5, at scale 1, without parsing: the whole frame in floats."""
    height, width = picture.shape[:2]
    inverse = cv2.invertAffineTransform(affine)
    face = cv2.warpAffine(restored, inverse, (width, height))
    mask = cv2.warpAffine(np.ones(restored.shape[:2], np.float32), inverse, (width, height))
    mask = np.asarray(cv2.erode(mask, np.ones((2, 2), np.uint8)))
    edge = int(math.sqrt(mask.sum())) // 20
    soft = cv2.erode(mask, np.ones((2 * edge, 2 * edge), np.uint8))
    soft = np.asarray(cv2.GaussianBlur(soft, (2 * edge + 1, 2 * edge + 1), 0))[..., None]
    pasted = soft * (mask[..., None] * face) + (1 - soft) * picture
    return np.asarray(pasted, np.uint8)


def compositing_times(side: int, rounds: int) -> dict[str, float]:
    """Median CPU milliseconds for one face on one core: native 4:2:0, RGB, the authors' way.

    The ways take turns in every round; the first round warms up and is not counted.
    """
    random = np.random.RandomState(0)
    frame = random.randint(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    planes = tuple(
        random.randint(16, 236, shape).astype(np.uint8)
        for shape in ((HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2), (HEIGHT // 2, WIDTH // 2))
    )
    centred = (TEMPLATE - FACE_SIZE / 2) * (side / FACE_SIZE)
    affine = estimate_transform(centred + np.array([WIDTH / 2 + 0.3, HEIGHT / 2 + 0.6]))
    crop = crop_face(frame, affine)
    patch = Patch(255 - crop, crop, affine)
    ways: dict[str, Callable[[], Any]] = {
        "native 4:2:0": lambda: composite_planes(planes, YuvFormat(), patch),
        "RGB": lambda: composite_rgb(frame, patch),
        "authors' way": lambda: authors_paste(frame, 255 - crop, affine),
    }
    times: dict[str, list[float]] = defaultdict(list)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for _ in range(rounds + 1):
            for way, paste in ways.items():
                start = time.thread_time()
                paste()
                times[way].append((time.thread_time() - start) * 1e3)
    finally:
        cv2.setNumThreads(threads)
    return {way: statistics.median(values[1:]) for way, values in times.items()}
