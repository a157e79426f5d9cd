"""Movements that are known exactly, and the flow that each makes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from keeprt.export.training.degradation import Frame

Transform = npt.NDArray[np.float64]
Flow = npt.NDArray[np.float32]


def random_similarity(random: np.random.Generator, size: int, spread: float) -> Transform:
    """(3, 3) shift by some `spread` pixels, a turn and a zoom that fit it; 0 for none."""
    turn, zoom = random.normal(0, spread / 4), 1 + random.normal(0, spread / 300)
    centre = (size / 2, size / 2)
    matrix = np.vstack([cv2.getRotationMatrix2D(centre, turn, zoom), [0, 0, 1]])
    matrix[:2, 2] += random.normal(0, spread, 2)
    return matrix


def transform_flows(transforms: Sequence[Transform], size: int) -> Flow:
    """(T - 1, 2, S, S) in pixels, from each frame to the one before, of the frames' transforms."""
    flows = [
        similarity_flow(before @ np.linalg.inv(now), size) for before, now in pairwise(transforms)
    ]
    return np.array(flows, np.float32).reshape(-1, 2, size, size)


def similarity_flow(transform: Transform, size: int) -> Flow:
    """(2, S, S) in pixels: where a (3, 3) transform of (x, y, 1) takes each pixel from."""
    rows, columns = np.mgrid[:size, :size]
    points = np.stack([columns, rows, np.ones_like(rows)]).reshape(3, -1)
    flow = (transform @ points)[:2] - points[:2]
    return np.asarray(flow.reshape(2, size, size), np.float32)


def smooth_field(random: np.random.Generator, size: int, spread: float) -> Flow:
    """(2, S, S) in pixels: random numbers of standard deviation `spread` on a 4 x 4 grid between
    which everything is smooth."""
    grid = random.normal(0, spread, (4, 4, 2)).astype(np.float32)
    field = cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(np.moveaxis(field, 2, 0))


def moved_by(picture: Frame, flow: Flow) -> Frame:
    """The uint8 (S, S, 3) picture in which each pixel comes from where its flow points."""
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    moved = cv2.remap(
        picture,
        columns + flow[0],
        rows + flow[1],
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(moved, np.uint8)
