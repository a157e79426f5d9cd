"""The demo's material: one portrait, moved, turned, scaled and lit; its flows are known."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from keeprt.export.training.degradation import Frame
from keeprt.export.training.material import LEAD_FRAMES, RATE, Batch, degraded_clip, to_tensor
from keeprt.export.training.motion import Transform, random_similarity, transform_flows
from keeprt.export.training.portrait import portrait, portrait_to_face, view
from keeprt.export.training.recipe import Recipe

# seeds of movement below this one are left for evaluation
FIRST_SEED = 1000
_PLACE_PX = 2.0  # at 256 pixels
_LIGHT, _LIGHT_LEVELS = 0.05, 5.0


class PortraitMaterial:
    """Endless clips of the portrait; the movement is the demo clip's, of other seeds."""

    def __init__(self, recipe: Recipe, size: int) -> None:
        self.recipe, self.size = recipe, size

    @cached_property
    def picture(self) -> Frame:
        return portrait()

    def faces(self, random: np.random.Generator, count: int) -> Tensor:
        """Single sharp faces (B, 3, S, S)."""
        return torch.cat([to_tensor(self._frames(random, 1, _PLACE_PX)[0]) for _ in range(count)])

    def clips(self, random: np.random.Generator, count: int, frames: int) -> Batch:
        """Clips as the demo's head moves."""
        return self.moved(random, count, frames, 0.0)

    def moved(
        self, random: np.random.Generator, count: int, frames: int, jitter_px: float
    ) -> Batch:
        """The demo's movement, and a jump of `jitter_px` of its own in every frame."""
        clips = [self._clip(random, frames, jitter_px) for _ in range(count)]
        sharp, degraded, flows = (torch.stack(parts) for parts in zip(*clips, strict=True))
        return Batch(sharp, degraded, flows)

    def _clip(
        self, random: np.random.Generator, frames: int, jitter_px: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        first = int(random.integers(LEAD_FRAMES))
        sharp, transforms = self._frames(random, first + frames, jitter_px)
        degraded = degraded_clip(sharp, self.recipe, random)
        flows = transform_flows(transforms[first:], self.size)
        return to_tensor(sharp[first:]), to_tensor(degraded[first:]), torch.from_numpy(flows)

    def _frames(
        self, random: np.random.Generator, count: int, jitter_px: float
    ) -> tuple[list[Frame], list[Transform]]:
        """The movement from a random moment, each clip a little elsewhere and in another light."""
        scale = self.size / 256
        seed, start = int(random.integers(FIRST_SEED, 2**31)), random.uniform(0, 60)
        speed = random.choice([1, 1, 2])
        place = random_similarity(random, self.size, _PLACE_PX * scale)
        gain, offset = random.normal(1, _LIGHT), random.normal(0, _LIGHT_LEVELS)
        transforms = [
            random_similarity(random, self.size, jitter_px * scale)
            @ place
            @ portrait_to_face(start + speed * index / float(RATE), self.size, seed)
            for index in range(count)
        ]
        views = (view(self.picture, transform, self.size) for transform in transforms)
        return [_lit(picture, gain, offset) for picture in views], transforms


def _lit(picture: Frame, gain: float, offset: float) -> Frame:
    levels = np.rint((picture.astype(np.float32) - 128) * gain + 128 + offset)
    return np.clip(levels, 0, 255).astype(np.uint8)
