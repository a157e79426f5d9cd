"""Material of one's own: clips of aligned faces; for the flow, faces moved in known ways."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from keeprt.engine.errors import UsageError
from keeprt.export.training.degradation import Frame
from keeprt.export.training.material import LEAD_FRAMES, Batch, degraded_clip, to_tensor
from keeprt.export.training.motion import (
    moved_by,
    random_similarity,
    similarity_flow,
    smooth_field,
)
from keeprt.export.training.recipe import Recipe

_SMOOTH_SHARE = 0.25  # of the jitter


class FaceMaterial:
    """Clips from .npy files of uint8 (T, S, S, 3), each as often as it is long."""

    def __init__(self, files: Sequence[Path], recipe: Recipe) -> None:
        self.recipe = recipe
        self._clips = [np.load(file, mmap_mode="r") for file in files]
        self._lengths = np.array([len(clip) for clip in self._clips])

    @property
    def frame_count(self) -> int:
        """Faces in all."""
        return int(self._lengths.sum())

    def check(self, frames: int) -> None:
        """Raises UsageError where no clip has that many frames."""
        if self._lengths.max() < frames:
            raise UsageError(
                f"the longest run of one face has {self._lengths.max()} frames; clips of {frames} "
                "are needed: give longer videos"
            )

    def faces(self, random: np.random.Generator, count: int) -> Tensor:
        """Single sharp faces (B, 3, S, S)."""
        return torch.cat([to_tensor(self._frames(random, 1)) for _ in range(count)])

    def clips(self, random: np.random.Generator, count: int, frames: int) -> Batch:
        """Clips as they were filmed; their flow is not known."""
        sharp, degraded = zip(
            *(self._degraded(self._frames(random, frames), random) for _ in range(count)),
            strict=True,
        )
        return Batch(torch.stack(sharp), torch.stack(degraded), None)

    def moved(
        self, random: np.random.Generator, count: int, frames: int, jitter_px: float
    ) -> Batch:
        """Single faces under movements that are known: similarities, and smooth warps."""
        parts = []
        for _ in range(count):
            face = self._frames(random, 1)[0]
            sharp, flows = _set_in_motion(face, random, frames, max(jitter_px, 0.5))
            parts.append((*self._degraded(sharp, random), torch.from_numpy(flows)))
        sharps, degraded, known = (torch.stack(part) for part in zip(*parts, strict=True))
        return Batch(sharps, degraded, known)

    def _degraded(
        self, sharp: Sequence[Frame], random: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """The clip and its twin, which the codec has seen some still frames before."""
        lead = int(random.integers(LEAD_FRAMES))
        degraded = degraded_clip([*[sharp[0]] * lead, *sharp], self.recipe, random)
        return to_tensor(sharp), to_tensor(degraded[lead:])

    def _frames(self, random: np.random.Generator, count: int) -> list[Frame]:
        """Consecutive frames of a clip, every second time mirrored."""
        room = np.maximum(self._lengths - count + 1, 0)
        chosen = int(random.choice(len(room), p=room / room.sum()))
        start = int(random.integers(room[chosen]))
        frames = np.asarray(self._clips[chosen][start : start + count])
        if random.integers(2):
            frames = frames[:, :, ::-1]
        return list(np.ascontiguousarray(frames))


def _set_in_motion(
    face: Frame, random: np.random.Generator, frames: int, jitter_px: float
) -> tuple[list[Frame], npt.NDArray[np.float32]]:
    """One face in `frames` places, and the flow from each frame to the one before.

    Every step is a similarity and a smooth warp; a frame is the one before, moved by the flow.
    """
    size = face.shape[0]
    spread = jitter_px * size / 256
    clip, flows = [face], []
    for _ in range(frames - 1):
        similarity = random_similarity(random, size, spread)
        bent = smooth_field(random, size, _SMOOTH_SHARE * spread)
        flow = similarity_flow(similarity, size) + bent
        clip.append(moved_by(clip[-1], flow))
        flows.append(flow)
    return clip, np.stack(flows)
