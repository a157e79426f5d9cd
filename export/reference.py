"""The PyTorch reference on pictures: what every other backend is held against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from keeprt.export.model import Keep

Picture = NDArray[np.uint8]


@torch.inference_mode()
def reference_frames(
    network: Keep, faces: Sequence[Picture], window: int | None = None
) -> Iterator[tuple[Picture, NDArray[np.int64]]]:
    """Restored RGB uint8 pictures and codebook indices, frame by frame.

    `window` None is the released way, all gains from the whole clip; a number is stream mode.
    """
    clip = torch.stack([to_tensor(face) for face in faces])[None]
    for result in network.run(clip, window):
        yield to_picture(result.face[0]), result.codes[0].numpy()


def to_tensor(picture: Picture) -> Tensor:
    """RGB uint8 (H, W, 3) -> float32 (3, H, W) in [-1, 1] (docs/model.md, section 15.1)."""
    scaled = (picture / 255).astype(np.float32)
    return (torch.from_numpy(scaled).permute(2, 0, 1) - 0.5) / 0.5


def to_picture(face: Tensor) -> Picture:
    """Float (3, H, W) -> RGB uint8 (H, W, 3), clamped and rounded (docs/model.md, section 15.1)."""
    levels = ((face.clamp(-1, 1) + 1) / 2).permute(1, 2, 0).mul(255).round()
    picture: Picture = levels.to(torch.uint8).numpy()
    return picture
