"""What all stages share: a module whose forward is the loss of one batch."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from keeprt.export.model import Keep
from keeprt.export.model.blocks import to_map, to_tokens
from keeprt.export.training.critic import Critic
from keeprt.export.training.losses import Perceptual, PictureWeights, edges_and_structure
from keeprt.export.training.material import Batch, Material
from keeprt.export.training.recipe import StageRecipe

Figures = dict[str, float]
LOOKUP = ("position_emb", "feat_emb.", "ft_layers.", "idx_pred_layer.")


class Stage(nn.Module):
    """One stage over the network; only the tensors whose names begin with `trains` change."""

    trains: ClassVar[tuple[str, ...]]

    def __init__(
        self, network: Keep, recipe: StageRecipe, perceptual: Perceptual = edges_and_structure
    ) -> None:
        super().__init__()
        self.network, self.recipe = network, recipe
        self._perceptual = perceptual
        self._critic: list[Critic] = []  # in a list, so that its weights are not the stage's
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name.startswith(self.trains))
        # of the last batch: rows of pictures for the sample sheet; what the critic learns from
        self.sample: list[Tensor] = []
        self.pair: tuple[Tensor, Tensor] | None = None

    def begin(self) -> None:
        """Weights that this stage begins with, where they are not what earlier stages left."""

    def draw(self, material: Material, random: np.random.Generator, step: int) -> Batch:
        """The batch of a step."""
        return material.clips(random, self.recipe.clips, self.recipe.frames)

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, Figures]:
        """Loss of a batch, and figures for people."""
        raise NotImplementedError

    def after(self, step: int) -> None:
        """What is done to the weights besides the optimiser's step."""

    @property
    def critic(self) -> Critic | None:
        """The discriminator, where the recipe gives its term a weight."""
        return self._critic[0] if self._critic else None

    @critic.setter
    def critic(self, critic: Critic) -> None:
        self._critic = [critic]

    def adversarial_term(self, sharp: Tensor, restored: Tensor) -> Tensor | float:
        """The discriminator's term of Eq. 3 and Eq. 8, 0 without one."""
        if self.critic is None:
            return 0.0
        self.pair = (sharp, restored.detach())
        return self.recipe.pictures.adversarial * self.critic.generator_term(restored)

    def picture_loss(self, restored: Tensor, sharp: Tensor) -> Tensor:
        """L1 and perceptual terms of Eq. 3 and Eq. 8, both of (B, 3, S, S)."""
        weights: PictureWeights = self.recipe.pictures
        loss = weights.l1 * nn.functional.l1_loss(restored, sharp)
        return loss + weights.perceptual * self._perceptual(restored, sharp)


def nearest_codes(tokens: Tensor, table: Tensor) -> Tensor:
    """(B, N, C) -> (B, N), the rows of (K, C) that are nearest."""
    return (table.pow(2).sum(-1) - 2 * tokens @ table.t()).argmin(-1)


@torch.no_grad()
def target_codes(network: Keep, sharp: Tensor) -> Tensor:
    """Codes of sharp faces (B, 3, S, S) -> (B, N)."""
    return nearest_codes(to_tokens(network.hq_encoder(sharp)[0]), network.quantize.embedding.weight)


def entries(network: Keep, codes: Tensor) -> Tensor:
    """Codes (B, N) -> (B, C, h, w)."""
    return to_map(network.quantize(codes), network.config.latent_size)
