"""From a continuous latent to codebook entries: the code transformer and the codebook."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from keeprt.export.model.blocks import attention
from keeprt.export.model.config import KeepConfig


class SelfAttention(nn.Module):
    """Multi-head self-attention with query, key and value rows stacked in one weight."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, placed: Tensor, plain: Tensor) -> Tensor:
        """`placed` (with positions) gives queries and keys, `plain` the values; (B, N, width)."""
        width = plain.shape[-1]
        weights = self.in_proj_weight.split(width)
        biases = self.in_proj_bias.split(width)
        query, key, value = (
            F.linear(tokens, weight, bias).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for tokens, weight, bias in zip((placed, placed, plain), weights, biases, strict=True)
        )
        mixed = attention(query, key, value, (width // self.heads) ** -0.5)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class LookupLayer(nn.Module):
    """Pre-norm transformer layer; positions reach queries and keys only, in every layer anew."""

    def __init__(self, config: KeepConfig) -> None:
        super().__init__()
        width = config.lookup_width
        self.self_attn = SelfAttention(width, config.lookup_heads)
        self.linear1 = nn.Linear(width, config.lookup_mlp)
        self.linear2 = nn.Linear(config.lookup_mlp, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, position: Tensor) -> Tensor:
        normed = self.norm1(tokens)
        tokens = tokens + self.self_attn(normed + position, normed)
        return tokens + self.linear2(F.gelu(self.linear1(self.norm2(tokens))))


class Codebook(nn.Module):
    """The table of latent vectors that faces are composed of."""

    def __init__(self, config: KeepConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.codebook_size, config.latent_channels)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes (B, N) -> rows (B, N, latent_channels): a gather, equal to one-hot times table."""
        return self.embedding(codes)
