"""What the generator takes from outside: CFT from the encoder's taps, CFA from the last frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from keeprt.export.model.blocks import FeedForward, HeadedAttention, ResBlock, to_map, to_tokens
from keeprt.export.model.config import KeepConfig


class Cft(nn.Module):
    """Controllable feature transformation: out = d + w (d * scale + shift), with w = 1."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.encode_enc = ResBlock(2 * channels, channels, groups)
        self.scale = _two_convolutions(channels)
        self.shift = _two_convolutions(channels)

    def forward(self, tap: Tensor, feature: Tensor) -> Tensor:
        condition = self.encode_enc(torch.cat([tap, feature], dim=1))
        return feature + (feature * self.scale(condition) + self.shift(condition))


def _two_convolutions(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(channels, channels, 3, padding=1),
    )


class Cfa(nn.Module):
    """Cross-frame attention: the current feature asks the previous frame's. Norms come after."""

    def __init__(self, channels: int, config: KeepConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)
        self.attn = HeadedAttention(channels, config.cfa_heads, config.cfa_head_channels)

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        """Both (B, C, H, W) -> the same shape."""
        x = to_tokens(current)
        x = x + self.norm1(self.attn(x, to_tokens(previous)))
        x = x + self.norm2(self.ff(x))
        return to_map(x, current.shape[-1])
