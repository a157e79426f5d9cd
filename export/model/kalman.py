"""The uncertainty and gain networks: how far to trust the prediction, per frame and token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from keeprt.export.model.blocks import FeedForward, HeadedAttention, ResBlock, to_map, to_tokens
from keeprt.export.model.config import KeepConfig


class UncertaintyLayer(nn.Module):
    """Sparse-causal attention, feed-forward, temporal attention, in this order."""

    def __init__(self, config: KeepConfig) -> None:
        super().__init__()
        channels = config.latent_channels
        self.attn1 = HeadedAttention(channels, config.gain_heads, config.gain_head_channels)
        self.norm1 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)
        self.norm3 = nn.LayerNorm(channels)
        self.attn_temp = HeadedAttention(channels, config.gain_heads, config.gain_head_channels)
        self.norm_temp = nn.LayerNorm(channels)

    def forward(self, hidden: Tensor, selected: Tensor | None) -> Tensor:
        """Hidden (B, T, N, C) -> (B, T or len(selected), N, C)."""
        normed = self.norm1(hidden)
        query, key, value = (
            project(normed) for project in (self.attn1.to_q, self.attn1.to_k, self.attn1.to_v)
        )
        hidden = hidden + self.attn1.attend(
            query, _first_and_previous(key), _first_and_previous(value)
        )
        hidden = hidden + self.ff(self.norm3(hidden))
        over_time = self.norm_temp(hidden).transpose(1, 2)
        wanted = over_time
        if selected is not None:
            hidden = hidden.index_select(1, selected)
            wanted = over_time.index_select(2, selected)
        return hidden + self.attn_temp(wanted, over_time).transpose(1, 2)


def _first_and_previous(tokens: Tensor) -> Tensor:
    """(B, T, N, C) -> (B, T, 2N, C): per frame the tokens of frame 0, then of the one before."""
    first = tokens[:, :1]
    previous = torch.cat([first, tokens[:, :-1]], dim=1)
    return torch.cat([first.expand_as(previous), previous], dim=2)


class GainNet(nn.Module):
    """Latents of a window of frames to Kalman gains in (0, 1), one per token.

    Not causal: through the temporal attention every gain depends on every frame of the window.
    """

    def __init__(self, config: KeepConfig) -> None:
        super().__init__()
        channels = config.latent_channels
        self.uncertainty_estimator = nn.ModuleList(
            UncertaintyLayer(config) for _ in range(config.gain_layers)
        )
        blocks = [
            ResBlock(channels, channels, config.norm_groups) for _ in range(config.gain_res_blocks)
        ]
        self.kalman_gain_calculator = nn.Sequential(*blocks, nn.Conv2d(channels, 1, 1))

    def forward(self, latents: Tensor, selected: Tensor | None = None) -> Tensor:
        """Latents (B, T, C, h, w) -> gains (B, T, 1, h, w).

        `selected` (int64, 1-D) asks for the gains of those frames only; the others are still seen.
        """
        hidden = to_tokens(latents)
        last = len(self.uncertainty_estimator) - 1
        for index, layer in enumerate(self.uncertainty_estimator):
            hidden = layer(hidden, selected if index == last else None)
        maps = to_map(hidden, latents.shape[-1])
        gains = torch.sigmoid(self.kalman_gain_calculator(maps.flatten(0, 1)))
        return gains.unflatten(0, (latents.shape[0], -1))
