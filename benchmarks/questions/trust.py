"""Where the network trusts its past: the gains of a stream as a picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from keeprt.benchmarks.demo import write_png
from keeprt.benchmarks.demo_pictures import captioned
from keeprt.benchmarks.questions.cases import DEMO_LEVEL, SHIPPED, Case
from keeprt.benchmarks.questions.measuring import Trained, degraded_clip, sharp_clip
from keeprt.engine.frame.pixels import Picture
from keeprt.engine.restorer import DEFAULT_WINDOW
from keeprt.export.model import FrameResult
from keeprt.export.pipeline import load_network
from keeprt.export.training.material import to_tensor

LEVELS = ("mild", "heavy", DEMO_LEVEL)
SHOWN_FRAME, FRAMES = 20, 30
TILE_PX = 140


def gains_of(trained: Trained, level: str) -> tuple[list[Picture], list[FrameResult]]:
    """The first degraded frames of a clip, and what the reference made of them as a stream."""
    network, _ = load_network(trained.weights(SHIPPED))
    case = Case(SHIPPED, level, 0)
    clip = degraded_clip(case, sharp_clip(0, network.config.face_size))
    frames = clip.input[:FRAMES]
    with torch.no_grad():
        return frames, list(network.run(to_tensor(frames)[None], DEFAULT_WINDOW))


def trust_picture(trained: Trained, path: Path) -> dict[str, list[float]]:
    """Writes the picture; smallest, mean and largest gain by level, over cells and frames."""
    rows, told = [], {}
    for level in LEVELS:
        frames, results = gains_of(trained, level)
        gains = torch.stack([result.gain for result in results if result.gain is not None])[:, 0, 0]
        told[level] = [gains.min().item(), gains.mean().item(), gains.max().item()]
        face = (results[SHOWN_FRAME].face[0].clamp(-1, 1) + 1) * 127.5
        restored = face.round().byte().permute(1, 2, 0).numpy()
        maps = [gains[SHOWN_FRAME - 1].numpy(), gains.mean(0).numpy()]
        tiles = [_tile(frames[SHOWN_FRAME]), _tile(restored), *map(coloured, maps)]
        names = [f"{level}: degraded", "restored", "its gain", f"mean of {len(gains)} gains"]
        rows.append(captioned(np.hstack(tiles), names))
    write_png(path, np.vstack([*rows, _scale(rows[0].shape[1])]))
    return told


def coloured(gain: np.ndarray) -> Picture:
    """A map of 0..1 as a tile from dark (observed) to bright (trusts the past)."""
    grey = np.clip(np.rint(255 * gain), 0, 255).astype(np.uint8)
    large = cv2.resize(grey, (TILE_PX, TILE_PX), interpolation=cv2.INTER_NEAREST)
    return np.asarray(
        cv2.cvtColor(cv2.applyColorMap(large, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    )


def _tile(picture: Picture) -> Picture:
    return np.asarray(cv2.resize(picture, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA))


def _scale(width: int) -> Picture:
    """The colours from gain 0 to gain 1."""
    line = np.linspace(0, 255, width).astype(np.uint8)[None].repeat(12, axis=0)
    bar = cv2.cvtColor(cv2.applyColorMap(line, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    return captioned(np.asarray(bar), ["gain 0: only this frame", "", "", "gain 1: only the past"])
