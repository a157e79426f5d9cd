"""Eq. 3, 4, 7 and 8: values and gradients against NumPy and plain autograd on small tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from keeprt.export.training import losses


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def test_eq_3_pulls_rows_to_latents_and_latents_to_rows() -> None:
    latent, rows = normal(2, 3, 4), normal(2, 3, 4, seed=1)
    loss = losses.codebook_loss(latent, rows, commitment=0.25)
    loss.backward()
    difference = rows.detach().numpy() - latent.detach().numpy()
    assert loss.item() == pytest.approx(1.25 * (difference**2).mean())
    assert np.allclose(rows.grad, 2 * difference / difference.size)
    assert np.allclose(latent.grad, -0.25 * 2 * difference / difference.size)


def test_rounding_passes_the_gradient_straight_through() -> None:
    latent, rows = normal(2, 3, 4), normal(2, 3, 4, seed=1)
    rounded = losses.straight_through(latent, rows)
    assert torch.allclose(rounded, rows)
    weights = normal(2, 3, 4, seed=2).detach()
    (rounded * weights).sum().backward()
    assert torch.equal(latent.grad, weights)
    assert rows.grad is None


def test_eq_4_is_cross_entropy_and_distance_to_fixed_rows() -> None:
    logits, latent, rows = normal(2, 3, 5), normal(2, 3, 4, seed=1), normal(2, 3, 4, seed=2)
    codes = torch.tensor([[0, 4, 2], [1, 1, 3]])
    loss = losses.code_loss(logits, codes, latent, rows)
    loss.backward()
    given = logits.detach().numpy().reshape(6, 5)
    shares = np.exp(given) / np.exp(given).sum(1, keepdims=True)
    wanted = np.eye(5)[codes.flatten()]
    entropy = -(wanted * np.log(shares)).sum(1).mean()
    difference = latent.detach().numpy() - rows.detach().numpy()
    variance = rows.detach().numpy().var(ddof=1)
    assert loss.item() == pytest.approx(entropy + (difference**2).mean() / variance)
    assert np.allclose(logits.grad.reshape(6, 5), (shares - wanted) / 6)
    assert np.allclose(latent.grad, 2 * difference / difference.size / variance)
    assert rows.grad is None


def test_eq_7_compares_with_the_moved_frame_before_where_the_mask_allows() -> None:
    restored = normal(1, 2, 3, 6, 6)
    flows = torch.zeros(1, 1, 2, 6, 6, dtype=torch.float64)
    flows[:, :, 0], flows[:, :, 1] = 1.0, 2.0
    mask = losses.inside_mask(flows[:, 0])[:, None]
    loss = losses.temporal_loss(restored, flows, mask)
    loss.backward()
    before, now = restored.detach().numpy()[0]
    difference = now[:, :4, :5] - before[:, 2:, 1:]
    assert loss.item() == pytest.approx(np.abs(difference).mean())
    expected = np.zeros((2, 3, 6, 6))
    expected[1, :, :4, :5] = np.sign(difference) / difference.size
    expected[0, :, 2:, 1:] = -np.sign(difference) / difference.size
    assert np.allclose(restored.grad[0], expected)


def test_the_mask_holds_what_comes_back_to_where_it_began() -> None:
    there = torch.zeros(1, 2, 8, 8)
    there[:, 0] = 2.0
    back = -there.clone()
    back[:, 0, :, 6:] = 3.0
    mask = losses.consistency_mask(there, back)[0, 0]
    assert mask[:, :4].all(), "there and back again"
    assert not mask[:, 4:6].any(), "the flow back leads elsewhere"
    assert not mask[:, 6:].any(), "outside the picture"


def test_the_adversarial_terms() -> None:
    real, restored = normal(2, 1, 4, 4), normal(2, 1, 4, 4, seed=1)
    losses.generator_loss(restored).backward()
    assert np.allclose(restored.grad, -1 / restored.numel())
    restored.grad = None
    loss = losses.discriminator_loss(real, restored)
    loss.backward()
    a, b = real.detach().numpy(), restored.detach().numpy()
    assert loss.item() == pytest.approx(np.maximum(1 - a, 0).mean() + np.maximum(1 + b, 0).mean())
    assert np.allclose(real.grad, (a < 1) / -a.size)
    assert np.allclose(restored.grad, (b > -1) / b.size)


def test_edges_and_structure_against_numpy() -> None:
    a, b = normal(1, 3, 9, 9) * 0.3, normal(1, 3, 9, 9, seed=1) * 0.3
    loss = losses.edges_and_structure(a, b).item()
    x, y = a.detach().numpy()[0], b.detach().numpy()[0]
    edges = sum(np.abs(np.diff(x, axis=k) - np.diff(y, axis=k)).mean() for k in (1, 2))
    windows = [(c, i, j) for c in range(3) for i in (0, 2) for j in (0, 2)]
    similar = []
    for c, i, j in windows:
        p, q = x[c, i : i + 7, j : j + 7], y[c, i : i + 7, j : j + 7]
        both = (p * q).mean() - p.mean() * q.mean()
        luminance = (2 * p.mean() * q.mean() + 4e-4) / (p.mean() ** 2 + q.mean() ** 2 + 4e-4)
        similar.append(luminance * (2 * both + 3.6e-3) / (p.var() + q.var() + 3.6e-3))
    assert loss == pytest.approx(edges + 0.2 * (1 - np.mean(similar)))
    assert torch.autograd.gradcheck(
        losses.edges_and_structure, (normal(1, 1, 8, 8), b[:, :1, :8, :8].detach())
    )


def test_psnr() -> None:
    a = torch.zeros(1, 3, 4, 4)
    assert losses.psnr_db(a, a + 0.2) == pytest.approx(20.0)
