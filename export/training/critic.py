"""The discriminator of Eq. 3 and Eq. 8: a PatchGAN on faces, or on clips with 3-D convolutions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from keeprt.export.training.losses import discriminator_loss, generator_loss
from keeprt.export.training.parallel import over_all, world

LEAK = 0.2


def patch_network(channels: int, *, over_time: bool) -> nn.Sequential:
    """Scores of overlapping patches, of (B, 3, S, S) or, over time, of (B, 3, T, S, S)."""

    def convolution(inner: int, outer: int, stride: int) -> nn.Module:
        if over_time:
            return nn.Conv3d(inner, outer, (3, 4, 4), (1, stride, stride), padding=1)
        return nn.Conv2d(inner, outer, 4, stride, padding=1)

    layers: list[nn.Module] = [convolution(3, channels, 2), nn.LeakyReLU(LEAK)]
    for factor in (1, 2):
        layers += [convolution(factor * channels, 2 * factor * channels, 2), nn.LeakyReLU(LEAK)]
    return nn.Sequential(*layers, convolution(4 * channels, 1, 1))


class Critic:
    """A discriminator and its own optimiser; it learns after the generator's step."""

    def __init__(
        self, rate: float, device: torch.device, *, over_time: bool, channels: int
    ) -> None:
        self.network = patch_network(channels, over_time=over_time).to(device)
        self.network.requires_grad_(False)
        self.optimiser = torch.optim.Adam(self.network.parameters(), rate, betas=(0.9, 0.99))

    def generator_term(self, restored: Tensor) -> Tensor:
        """What the generator is told; nothing of it reaches the discriminator's weights."""
        return generator_loss(self.network(restored))

    def learn(self, sharp: Tensor, restored: Tensor) -> None:
        """One step towards telling them apart."""
        self.network.requires_grad_(True)
        self.optimiser.zero_grad()
        discriminator_loss(self.network(sharp), self.network(restored.detach())).backward()
        for parameter in self.network.parameters():
            if parameter.grad is not None:
                over_all(parameter.grad).div_(world())
        self.optimiser.step()
        self.network.requires_grad_(False)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
