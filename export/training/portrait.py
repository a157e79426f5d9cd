"""A public-domain portrait and how the head in it is made to move.

The portrait is NASA's of Eileen Collins, which the scikit-image wheel ships as `astronaut.png`. Her
eyes are 43 pixels apart there and 126 in the face template, so "sharp" frames hold the detail of
about 175 x 175 pixels, more than the 128 x 128 that are left by shrinking by 4.
"""

import importlib

import cv2
import numpy as np
import numpy.typing as npt

from keeprt.engine.errors import UsageError
from keeprt.engine.faces.alignment import TEMPLATE
from keeprt.export.training.degradation import Frame
from keeprt.kernels.installing import install

# both eyes, nose tip, both mouth corners (x, y) as seen in the picture, read off an enlargement
PORTRAIT_LANDMARKS = np.array(
    [[203.1, 101.0], [246.4, 102.8], [224.5, 127.0], [203.5, 139.5], [244.5, 140.5]]
)

_TEMPLATE_SIZE = 512
_FREQUENCIES_HZ = (0.35, 0.8)
# of the slow and the quick movement: pixels of the 512 face, degrees, share of the size
_SHIFT_PX = (7.0, 1.5)
_TURN_DEG = (2.5, 0.5)
_ZOOM = (0.025, 0.004)


def portrait_to_face(time_s: float, size: int, seed: int) -> npt.NDArray[np.float64]:
    """(3, 3) transform of (x, y, 1) in the portrait to the face frame at a time in seconds."""
    scale = size / _TEMPLATE_SIZE
    # pixel centres lie at whole numbers, so a change of scale also moves the origin
    resize = np.array([[scale, 0, scale / 2 - 0.5], [0, scale, scale / 2 - 0.5], [0, 0, 1]])
    return resize @ _head_motion(time_s, seed) @ similarity(PORTRAIT_LANDMARKS, TEMPLATE)


def portrait() -> Frame:
    """The whole picture, uint8 (512, 512, 3) RGB. Raises UsageError without scikit-image."""
    try:
        data = importlib.import_module("skimage.data")
    except ImportError as error:
        raise UsageError(
            "demo clip and demo weights are made from a picture that scikit-image ships: "
            f"{install('demo')}"
        ) from error
    return np.asarray(data.astronaut(), np.uint8)


def similarity(
    source: npt.NDArray[np.float64], target: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """(3, 3) shift, turn and scale with the least squared error.

    Points as complex numbers: target = a * source + b, with a = <source, target> / <source, source>
    about the means.
    """
    p, q = (points @ np.array([1, 1j]) for points in (source, target))
    a = np.vdot(p - p.mean(), q - q.mean()) / np.vdot(p - p.mean(), p - p.mean())
    b = q.mean() - a * p.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag], [0, 0, 1]])


def _head_motion(time_s: float, seed: int) -> npt.NDArray[np.float64]:
    """(3, 3) movement in the 512 face frame: a slow sway and a quicker tremble of each freedom."""
    generator = np.random.Generator(np.random.PCG64(seed))
    phases = generator.uniform(0, 2 * np.pi, (4, len(_FREQUENCIES_HZ)))
    waves = np.sin(2 * np.pi * np.array(_FREQUENCIES_HZ) * time_s + phases)
    shift_x, shift_y, turn, zoom = (
        float(wave @ np.array(amplitudes))
        for wave, amplitudes in zip(waves, (_SHIFT_PX, _SHIFT_PX, _TURN_DEG, _ZOOM), strict=True)
    )
    # a head turns about the neck
    neck = (_TEMPLATE_SIZE / 2, _TEMPLATE_SIZE * 0.95)
    movement = np.vstack([cv2.getRotationMatrix2D(neck, turn, 1 + zoom), [0, 0, 1]])
    movement[:2, 2] += shift_x, shift_y
    return movement


def view(picture: Frame, transform: npt.NDArray[np.float64], size: int) -> Frame:
    """The face frame that a (3, 3) transform of (x, y, 1) makes of the picture."""
    return np.asarray(
        cv2.warpAffine(
            picture,
            transform[:2],
            (size, size),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )
