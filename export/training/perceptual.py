"""The perceptual loss: a network of features that the user gives as a TorchScript file."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from keeprt.engine.errors import CheckpointError
from keeprt.export.training.losses import Perceptual


def load_perceptual(path: Path, device: torch.device) -> Perceptual:
    """L1 between the features that the file's network gives of (B, 3, S, S) in [-1, 1].

    It may give one tensor or a list of them, which count alike; its own normalisation is its own
    affair. Raises CheckpointError.
    """
    if path.suffix == ".onnx":
        raise CheckpointError(
            f"{path}: ONNX has no gradients; save the perceptual network with torch.jit.script or "
            "torch.jit.trace"
        )
    try:
        network = torch.jit.load(path, map_location=device).eval().requires_grad_(False)
    except (RuntimeError, ValueError, OSError) as error:
        reason = (str(error).splitlines() or [""])[0][:120]
        raise CheckpointError(f"{path} is no TorchScript file ({reason})") from error

    def loss(restored: Tensor, sharp: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = _listed(network(sharp))
        given = _listed(network(restored))
        terms = [F.l1_loss(a, b) for a, b in zip(given, wanted, strict=True)]
        return torch.stack(terms).mean()

    return loss


def _listed(features: Tensor | list[Tensor] | tuple[Tensor, ...]) -> list[Tensor]:
    return [features] if isinstance(features, Tensor) else list(features)
