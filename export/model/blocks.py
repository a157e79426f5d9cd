"""Building blocks that several parts share: norms, residual and attention blocks, GEGLU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def attention(
    query: Tensor, key: Tensor, value: Tensor, scale: float, bias: Tensor | None = None
) -> Tensor:
    """Softmax attention: (..., N, C), (..., M, C) and (..., M, D) -> (..., N, D).

    `bias` is added to the scaled scores and broadcasts to (..., N, M).
    """
    scores = (query * scale) @ key.transpose(-1, -2)
    if bias is not None:
        scores = scores + bias
    return torch.softmax(scores, dim=-1) @ value


def to_tokens(feature: Tensor) -> Tensor:
    """(..., C, H, W) -> (..., H * W, C), row-major."""
    return feature.flatten(-2).transpose(-1, -2)


def to_map(tokens: Tensor, size: int) -> Tensor:
    """(..., size * size, C) -> (..., C, size, size)."""
    return tokens.transpose(-1, -2).unflatten(-1, (size, size))


class GroupNorm(nn.GroupNorm):
    """Group normalisation with the eps of the autoencoder, 1e-6."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__(groups, channels, eps=1e-6)


class ResBlock(nn.Module):
    """skip(x) + conv2(swish(norm2(conv1(swish(norm1(x)))))); the skip takes the raw input."""

    def __init__(self, in_channels: int, out_channels: int, groups: int) -> None:
        super().__init__()
        self.norm1 = GroupNorm(in_channels, groups)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = GroupNorm(out_channels, groups)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.conv_out: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.conv_out = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        residual = self.conv1(F.silu(self.norm1(x)))
        residual = self.conv2(F.silu(self.norm2(residual)))
        return self.conv_out(x) + residual


class AttnBlock(nn.Module):
    """One-head self-attention over all positions of a map, with a residual."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = GroupNorm(channels, groups)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        query, key, value = to_tokens(self.q(h)), to_tokens(self.k(h)), to_tokens(self.v(h))
        mixed = attention(query, key, value, x.shape[1] ** -0.5)
        return x + self.proj_out(to_map(mixed, x.shape[-1]))


class Downsample(nn.Module):
    """Halves a map; the only padding is one zero row at the bottom and one column on the right."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Doubles a map: nearest neighbour, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class HeadedAttention(nn.Module):
    """Multi-head attention whose query and context may differ; only the output has a bias."""

    def __init__(self, channels: int, heads: int, head_channels: int) -> None:
        super().__init__()
        inner = heads * head_channels
        self.heads = heads
        self.scale = head_channels**-0.5
        self.to_q = nn.Linear(channels, inner, bias=False)
        self.to_k = nn.Linear(channels, inner, bias=False)
        self.to_v = nn.Linear(channels, inner, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(inner, channels)])

    def split(self, tokens: Tensor) -> Tensor:
        """(..., N, heads * C) -> (..., heads, N, C)."""
        return tokens.unflatten(-1, (self.heads, -1)).transpose(-2, -3)

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Projected (..., N, inner) and (..., M, inner) -> (..., N, channels)."""
        mixed = attention(self.split(query), self.split(key), self.split(value), self.scale)
        return self.to_out[0](mixed.transpose(-2, -3).flatten(-2))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return self.attend(self.to_q(x), self.to_k(context), self.to_v(context))


class Geglu(nn.Module):
    """Linear layer whose second half of outputs gates the first: v * gelu(t)."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * inner)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    """GEGLU to four times the width and back; entry 1 is where training had its dropout."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            Geglu(channels, 4 * channels), nn.Identity(), nn.Linear(4 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)
