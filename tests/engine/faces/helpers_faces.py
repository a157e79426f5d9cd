"""Pictures, landmarks and the authors' paste-back for the tests of faces."""

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from keeprt.engine.faces.alignment import TEMPLATE
from keeprt.engine.faces.detection import Detection

DATA = Path(__file__).parents[2] / "data" / "goldens"


def textured(height: int, width: int, seed: int = 0, blur: float = 2.0) -> Any:
    """A smooth coloured texture over the whole range, uint8 (height, width, 3)."""
    noise = np.random.RandomState(seed).standard_normal((height, width, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), blur)
    return np.clip(128 + 50 * soft / soft.std(), 0, 255).astype(np.uint8)


def landmarks_at(x: float, y: float, eyes: float = 60.0, degrees: float = 0.0) -> Any:
    """Five template-like landmarks centred at x, y with the given distance between the eyes."""
    scale = eyes / (TEMPLATE[1, 0] - TEMPLATE[0, 0])
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return (TEMPLATE - TEMPLATE.mean(0)) @ turn.T * scale + (x, y)


def face_at(x: float, y: float, eyes: float = 60.0, score: float = 0.9) -> Detection:
    """A detection whose box is as wide as detectors make it: twice the distance of the eyes."""
    half = np.array([eyes, 1.3 * eyes])
    box = np.array([x - half[0], y - half[1], x + half[0], y + half[1]])
    return Detection(box, score, landmarks_at(x, y, eyes))


def authors_paste(picture: Any, restored: Any, affine: Any) -> Any:
    """docs/model.md, section 15.5, at scale 1, without the parsing network."""
    height, width = picture.shape[:2]
    inverse = cv2.invertAffineTransform(affine)
    face = cv2.warpAffine(restored, inverse, (width, height))
    mask = cv2.warpAffine(np.ones(restored.shape[:2], np.float32), inverse, (width, height))
    mask = cv2.erode(mask, np.ones((2, 2), np.uint8))
    edge = int(math.sqrt(mask.sum())) // 20
    soft = cv2.erode(mask, np.ones((2 * edge, 2 * edge), np.uint8))
    soft = cv2.GaussianBlur(soft, (2 * edge + 1, 2 * edge + 1), 0)[..., None].astype(np.float64)
    pasted = soft * (mask[..., None] * face) + (1 - soft) * picture
    return pasted.astype(np.uint8)
