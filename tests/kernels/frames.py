"""Random frames and faces for the kernels' tests."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.kernels.frame import LAYOUTS, FrameFormat
from keeprt.kernels.placement import PLACEMENT_DTYPE

ALL_FORMATS = tuple(LAYOUTS)


def random_planes(format: FrameFormat, seed: int = 0) -> list[NDArray[Any]]:
    """Planes of random words, the bits that hold no code included."""
    rng, dtype = np.random.default_rng(seed), format.layout.dtype
    top = np.iinfo(dtype).max
    if max(format.layout.shift) == 0:
        top = (1 << format.layout.bits) - 1
    return [rng.integers(0, top, shape, dtype, endpoint=True) for shape in format.plane_shapes()]


def similarity(scale: float, degrees: float, x: float, y: float) -> NDArray[np.float64]:
    """A (2, 3) map from frame to crop pixels that turns, scales, and then shifts by (x, y)."""
    angle = np.deg2rad(degrees)
    a, b = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[a, -b, x], [b, a, y]])


def face_over(
    format: FrameFormat, size: int, share: float = 0.8, degrees: float = 20.0
) -> NDArray[np.float64]:
    """A map whose crop covers about `share` of the frame's shorter side, in its middle."""
    scale = size / (share * min(format.width, format.height))
    matrix = similarity(scale, degrees, 0, 0)
    middle = matrix[:, :2] @ [(format.width - 1) / 2, (format.height - 1) / 2]
    matrix[:, 2] = (size - 1) / 2 - middle
    return matrix


def changed_face(size: int, dtype: Any, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """A restored face of noise, here and there not finite, and the crop it was made of."""
    rng = np.random.default_rng(seed)
    face = (rng.standard_normal((3, size, size)) * 1.5).astype(np.float32)
    for value in (np.nan, np.inf, -np.inf):
        face.reshape(-1)[rng.integers(0, face.size, max(1, face.size // 60))] = value
    return face, rng.uniform(-1, 1, (3, size, size)).astype(dtype)


def placement_of(values: dict[str, Any]) -> NDArray[Any]:
    """A raw placement, as damaged as `values` say."""
    record = np.zeros((), PLACEMENT_DTYPE)
    for name, value in values.items():
        record[name] = value
    return record


def damaged_placements(format: FrameFormat) -> list[NDArray[Any]]:
    everywhere = {"right": format.width, "bottom": format.height, "strength": 1}
    unit = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    cases: list[dict[str, Any]] = [
        {"to_frame": np.nan, "to_crop": np.nan},
        {"to_frame": np.inf, "to_crop": -np.inf},
        {"to_frame": 1e30, "to_crop": -1e30},
        {"to_frame": 0, "to_crop": 0},
        {"to_frame": unit * -1e6, "to_crop": unit * 1e6},
        {"to_frame": unit, "to_crop": unit, "crop_width": np.nan, "paste_width": np.nan},
        {"to_frame": unit, "to_crop": unit, "strength": np.inf},
        {"to_frame": unit, "to_crop": unit, "strength": np.nan},
        {"to_frame": unit, "to_crop": unit, "crop_width": -1, "paste_width": -np.inf},
        {"to_frame": unit, "to_crop": unit, "crop_width": 1e-30, "paste_width": 1e-30},
        {"to_frame": unit, "to_crop": unit, "left": -9, "top": -7, "right": 10**6},
        {"to_frame": unit, "to_crop": unit, "left": 5, "right": 2},
        {"to_frame": unit, "to_crop": unit, "left": -(2**31), "right": 2**31 - 1},
    ]
    return [placement_of({**everywhere, **case}) for case in cases]
