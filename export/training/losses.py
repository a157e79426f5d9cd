"""The losses of the paper (arXiv 2408.05205), each under its equation's number.

Pictures are (B, 3, S, S) in [-1, 1]; latents are token lists (B, N, C).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from keeprt.export.model.gmflow import backward_warp

Perceptual = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class PictureWeights:
    """Weights of the terms that compare pictures, as Eq. 3 and Eq. 8 have them."""

    l1: float
    perceptual: float
    adversarial: float = 0.0
    temporal: float = 0.0


def codebook_loss(latent: Tensor, rows: Tensor, commitment: float = 1.0) -> Tensor:
    """Last two terms of Eq. 3: ||sg(E_H(y)) - z_q||^2 + ||E_H(y) - sg(z_q)||^2.

    `commitment` weighs the second term; the paper has 1.
    """
    return F.mse_loss(rows, latent.detach()) + commitment * F.mse_loss(latent, rows.detach())


def straight_through(latent: Tensor, rows: Tensor) -> Tensor:
    """The codebook's rows, whose gradient goes to the latent as if nothing had been rounded."""
    return latent + (rows - latent).detach()


def code_loss(logits: Tensor, codes: Tensor, latent: Tensor, rows: Tensor) -> Tensor:
    """Eq. 4: cross entropy of the sharp face's codes + ||E_L(x) - sg(z_q)||^2.

    logits (B, N, codebook), codes (B, N), latent and the codes' rows (B, N, C). The distance is
    in units of the codebook's own variance, which depends on the first stage.
    """
    entropy = F.cross_entropy(logits.flatten(0, 1), codes.flatten())
    rows = rows.detach()
    return entropy + F.mse_loss(latent, rows) / rows.var()


def temporal_loss(restored: Tensor, flows: Tensor, mask: Tensor) -> Tensor:
    """Eq. 7: M |y_t - warp(y_t-1)|_1, the mean over the places that the mask holds.

    restored (B, T, 3, S, S); flows (B, T - 1, 2, S, S) in pixels, from each frame to the one
    before; mask (B, T - 1, 1, S, S) in 0..1.
    """
    warped = backward_warp(restored[:, :-1].flatten(0, 1), flows.flatten(0, 1))
    difference = (restored[:, 1:].flatten(0, 1) - warped).abs().mean(1, keepdim=True)
    mask = mask.flatten(0, 1)
    return (difference * mask).sum() / mask.sum().clamp(min=1)


def consistency_mask(forward: Tensor, backward: Tensor) -> Tensor:
    """M of Eq. 7, (B, 1, S, S): where the flow there and back ends at its beginning.

    forward (B, 2, S, S) leads from the current frame to the previous one, backward the other way.
    The bound is Sundaram's (ECCV 2010): 0.01 of both squared lengths, plus half a pixel.
    """
    returned = backward_warp(backward, forward)
    squared = (forward + returned).square().sum(1, keepdim=True)
    lengths = (forward.square() + returned.square()).sum(1, keepdim=True)
    return ((squared < 0.01 * lengths + 0.5) & _inside(forward)).to(forward.dtype)


def inside_mask(flow: Tensor) -> Tensor:
    """(B, 1, S, S): 1 where a flow (B, 2, S, S) ends inside the picture."""
    return _inside(flow).to(flow.dtype)


def _inside(flow: Tensor) -> Tensor:
    size = flow.shape[-1]
    line = torch.arange(size, device=flow.device, dtype=flow.dtype)
    x, y = line + flow[:, 0], line[:, None] + flow[:, 1]
    return ((x >= 0) & (x <= size - 1) & (y >= 0) & (y <= size - 1))[:, None]


def generator_loss(scores: Tensor) -> Tensor:
    """Adversarial term of Eq. 3 and 8 for the generator: the mean score it could not reach."""
    return -scores.mean()


def discriminator_loss(real: Tensor, restored: Tensor) -> Tensor:
    """Hinge loss of the discriminator's scores."""
    return F.relu(1 - real).mean() + F.relu(1 + restored).mean()


def edges_and_structure(restored: Tensor, sharp: Tensor) -> Tensor:
    """What stands in where no perceptual network is given: gradients' L1 + 0.2 (1 - SSIM)."""
    edges = sum(
        F.l1_loss(a, b) for a, b in zip(_gradients(restored), _gradients(sharp), strict=True)
    )
    return edges + 0.2 * (1 - structural_similarity(restored, sharp))


def _gradients(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]


def structural_similarity(a: Tensor, b: Tensor) -> Tensor:
    """Mean SSIM on flat 7 x 7 windows, every second place."""

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 7, stride=2)

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    both = mean(a * b) - mean_a * mean_b
    c1, c2 = 0.02**2, 0.06**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return (luminance * (2 * both + c2) / (var_a + var_b + c2)).mean()


def psnr_db(a: Tensor, b: Tensor) -> float:
    """Of pictures in [-1, 1], `a` clamped."""
    return float(-10 * torch.log10(F.mse_loss(a.detach().clamp(-1, 1), b) / 4))
