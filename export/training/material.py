"""What is learnt from: sharp faces, and clips of them with their degraded twins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from keeprt.export.training.degradation import Degradation, Frame, degrade
from keeprt.export.training.recipe import Recipe

RATE = Fraction(25)
# the codec treats the frames of a clip differently: a clip begins at any of its first ones
LEAD_FRAMES = 5


class Batch(NamedTuple):
    """Clips (B, T, 3, S, S) in [-1, 1]; flows (B, T - 1, 2, S, S) to the frame before, if known."""

    sharp: Tensor
    degraded: Tensor
    flows: Tensor | None


class Material(Protocol):
    """A source of faces; everything drawn depends on the generator alone."""

    def faces(self, random: np.random.Generator, count: int) -> Tensor:
        """Single sharp faces (B, 3, S, S)."""
        ...

    def clips(self, random: np.random.Generator, count: int, frames: int) -> Batch:
        """Clips as they move."""
        ...

    def moved(
        self, random: np.random.Generator, count: int, frames: int, jitter_px: float
    ) -> Batch:
        """Clips whose flow is known, with a movement of `jitter_px` of its own in every frame."""
        ...


Draw = Callable[[Material, np.random.Generator, int], Batch]


class Draws(Dataset[Batch]):
    """Batch number `step` depends on seed, process and step alone, so that a run can go on."""

    def __init__(self, material: Material, draw: Draw, seed: Sequence[int]) -> None:
        self.material, self.draw, self.seed = material, draw, tuple(seed)

    def __getitem__(self, step: int) -> Batch:
        return self.draw(self.material, np.random.default_rng((*self.seed, step)), step)


def degraded_clip(
    sharp: Sequence[Frame], recipe: Recipe, random: np.random.Generator
) -> list[Frame]:
    """Eq. 9 with parameters drawn from the recipe's ranges, the same for all frames of a clip."""
    ranges = recipe.ranges
    kind = Degradation(
        blur_sigma=random.uniform(*recipe.blur_at(sharp[0].shape[0])),
        downscale=ranges.downscale,
        noise_sigma=random.uniform(*ranges.noise_sigma),
        crf=int(random.integers(ranges.crf[0], ranges.crf[1] + 1)),
        seed=int(random.integers(2**31)),
    )
    return degrade(sharp, kind, RATE)


def to_tensor(pictures: Sequence[Frame]) -> Tensor:
    """uint8 (S, S, 3) pictures -> (T, 3, S, S) in [-1, 1]."""
    faces = np.stack(pictures).astype(np.float32) / 127.5 - 1
    return torch.from_numpy(faces).permute(0, 3, 1, 2).contiguous()
