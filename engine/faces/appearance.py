"""Makes looks: a small picture of the aligned face, free of brightness and contrast.

Two halves of equal weight, both of the face from brow to chin: 16 x 16 grey levels, and the
strength of the edges in six directions in 6 x 6 cells. Each half has mean 0 and length 1. Averages
over such cells forget noise and blocks; edges see features where light has no say.
"""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from keeprt.engine.errors import FaceError
from keeprt.engine.faces.alignment import crop_face, estimate_transform
from keeprt.engine.faces.detection import Points, Rgb
from keeprt.engine.faces.look import Look, Vector

_SIZE = 128
_ROWS, _COLUMNS = slice(34, 112), slice(27, 101)  # of an aligned face of 128: brow to chin
_LEVELS, _EDGES, _CELLS, _DIRECTIONS = 16, 32, 6, 6
_FLAT = 0.01  # standard deviation, of a range of 1, below which a picture shows nothing
_FAINT = 0.05  # strength of an edge that is nearly noise


class Embedding(Protocol):
    """A network that tells people apart."""

    def embed(self, rgb: Rgb, landmarks: Points) -> Vector:
        """A vector of length 1 for the face with these landmarks in a picture (H, W, 3)."""
        ...


def look_of(rgb: Rgb, landmarks: Points, embedding: Embedding | None = None) -> Look | None:
    """The look of the face with `landmarks` (5, 2) in a picture, uint8 (H, W, 3), of square pixels.

    None where the landmarks span no face.
    """
    try:
        crop = crop_face(rgb, estimate_transform(landmarks, _SIZE), _SIZE)
    except FaceError:
        return None
    person = None if embedding is None else embedding.embed(rgb, landmarks)
    return Look(describe(crop), person)


def describe(crop: Rgb) -> Vector:
    """The vector of an aligned face, uint8 (128, 128, 3)."""
    grey = cv2.cvtColor(crop[_ROWS, _COLUMNS], cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    levels = cv2.resize(grey, (_LEVELS, _LEVELS), interpolation=cv2.INTER_AREA)
    smaller = cv2.resize(grey, (_EDGES, _EDGES), interpolation=cv2.INTER_AREA)
    edges = _edges(np.asarray(smaller, np.float32))
    halves = [_unit(np.asarray(levels, np.float32), _FLAT * _LEVELS), _unit(edges, _FLAT)]
    return np.concatenate(halves) / np.float32(np.sqrt(2))


def _edges(grey: Vector) -> Vector:
    across = cv2.Sobel(grey, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    angles = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
    strengths = [np.maximum(across * np.cos(a) + down * np.sin(a), 0) for a in angles]
    size = (_CELLS, _CELLS)
    cells = np.stack([cv2.resize(s, size, interpolation=cv2.INTER_AREA) for s in strengths])
    return np.asarray(cells / (np.sqrt((cells**2).sum(0)) + _FAINT), np.float32)


def _unit(values: Vector, least: float) -> Vector:
    centred = (values - values.mean()).ravel()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), least), np.float32)
