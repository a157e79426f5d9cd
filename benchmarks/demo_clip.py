"""A short face video with its degraded twin, made from a public-domain portrait.

The portrait is NASA's of Eileen Collins, which the scikit-image wheel ships as `astronaut.png`. Her
eyes are 43 pixels apart there and 126 in the face template, so "sharp" frames hold the detail of
about 175 x 175 pixels, more than the 128 x 128 that are left by the degradation.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from keeprt.engine.errors import UsageError
from keeprt.export.training.degradation import Degradation, Frame, degrade
from keeprt.export.training.motion import Transform, transform_flows
from keeprt.export.training.portrait import portrait, portrait_to_face, view

DEMO_DEGRADATION = Degradation(blur_sigma=3.0, downscale=4, noise_sigma=5.0, crf=30)


@dataclass(frozen=True)
class DemoClip:
    """Aligned faces, uint8 (size, size, 3) RGB: as they were, and as a poor video shows them.

    transforms: (3, 3) of (x, y, 1) in the portrait to each frame.
    """

    sharp: list[Frame]
    degraded: list[Frame]
    rate: Fraction
    transforms: list[Transform]


def demo_clip(
    frame_count: int = 50,
    *,
    size: int = 512,
    seed: int = 0,
    rate: Fraction = Fraction(25),
    degradation: Degradation = DEMO_DEGRADATION,
) -> DemoClip:
    """One face that moves a little; the same frames for the same arguments.

    seed decides the movement and the noise (in place of the degradation's own). A sharp frame
    depends on its time alone, not on frame_count. Raises UsageError where scikit-image is missing.
    """
    if frame_count < 1 or size < 1 or rate <= 0:
        raise UsageError(
            f"a demo clip of {frame_count} frames of {size} pixels at {rate} fps: all must be > 0"
        )
    picture = portrait()
    times_s = [float(index / rate) for index in range(frame_count)]
    transforms = [portrait_to_face(time_s, size, seed) for time_s in times_s]
    sharp = [view(picture, transform, size) for transform in transforms]
    degraded = degrade(sharp, replace(degradation, seed=seed), rate)
    return DemoClip(sharp=sharp, degraded=degraded, rate=rate, transforms=transforms)


def true_sources(clip: DemoClip) -> list[npt.NDArray[np.float32]]:
    """For each frame but the first, (H, W, 2): x, y in the frame before that a pixel comes from."""
    size = clip.sharp[0].shape[0]
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    flows = transform_flows(clip.transforms, size)
    return [np.stack([columns + flow[0], rows + flow[1]], axis=-1) for flow in flows]
