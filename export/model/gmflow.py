"""GMFlow, one scale: dense flow from the current frame to the previous one."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from keeprt.export.model.blocks import attention, to_map
from keeprt.export.model.config import KeepConfig

STRIDE = 8
WINDOWS = 2
NEIGHBOURS = 9
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


class FlowResBlock(nn.Module):
    """Two 3x3 convolutions with instance norms; a strided block has a normed 1x1 skip."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1:
            skip = nn.Conv2d(in_channels, out_channels, 1, stride)
            self.downsample = nn.Sequential(skip, nn.InstanceNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        residual = F.relu(F.instance_norm(self.conv1(x)))
        residual = F.relu(F.instance_norm(self.conv2(residual)))
        return F.relu(self.downsample(x) + residual)


class FlowBackbone(nn.Module):
    """Features of one image, (B, 3, H, W) -> (B, 128, H/8, W/8)."""

    def __init__(self, channels: tuple[int, int, int]) -> None:
        super().__init__()
        first, second, third = channels
        self.conv1 = nn.Conv2d(3, first, 7, stride=2, padding=3, bias=False)
        self.layer1 = nn.Sequential(FlowResBlock(first, first, 1), FlowResBlock(first, first, 1))
        self.layer2 = nn.Sequential(FlowResBlock(first, second, 2), FlowResBlock(second, second, 1))
        self.layer3 = nn.Sequential(FlowResBlock(second, third, 2), FlowResBlock(third, third, 1))
        self.conv2 = nn.Conv2d(third, third, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = F.relu(F.instance_norm(self.conv1(image)))
        return self.conv2(self.layer3(self.layer2(self.layer1(x))))


class FlowAttention(nn.Module):
    """One message of the transformer: windowed attention, for cross attention an MLP behind it."""

    def __init__(self, channels: int, feed_forward: bool) -> None:
        super().__init__()
        self.q_proj = nn.Linear(channels, channels, bias=False)
        self.k_proj = nn.Linear(channels, channels, bias=False)
        self.v_proj = nn.Linear(channels, channels, bias=False)
        self.merge = nn.Linear(channels, channels, bias=False)
        self.norm1 = nn.LayerNorm(channels)
        self.feed_forward = feed_forward
        if feed_forward:
            self.mlp = nn.Sequential(
                nn.Linear(2 * channels, 8 * channels, bias=False),
                nn.GELU(),
                nn.Linear(8 * channels, channels, bias=False),
            )
            self.norm2 = nn.LayerNorm(channels)

    def forward(self, source: Tensor, target: Tensor, shift: int, mask: Tensor | None) -> Tensor:
        """Maps (B, H, W, C); `shift` rolls the windows, `mask` keeps rolled borders apart."""
        query, key, value = self.q_proj(source), self.k_proj(target), self.v_proj(target)
        query, key, value = (_to_windows(x, shift) for x in (query, key, value))
        mixed = attention(query, key, value, source.shape[-1] ** -0.5, mask)
        message: Tensor = self.norm1(self.merge(_from_windows(mixed, source.shape[1], shift)))
        if self.feed_forward:
            message = self.norm2(self.mlp(torch.cat([source, message], dim=-1)))
        return message


def _to_windows(x: Tensor, shift: int) -> Tensor:
    """(B, H, W, C) -> (B, 4, H/2 * W/2, C), after rolling by -shift."""
    if shift:
        x = torch.roll(x, (-shift, -shift), dims=(1, 2))
    x = x.unflatten(2, (WINDOWS, -1)).unflatten(1, (WINDOWS, -1))
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def _from_windows(x: Tensor, size: int, shift: int) -> Tensor:
    """(B, 4, N, C) -> (B, size, size, C), rolled back by shift."""
    side = size // WINDOWS
    x = x.unflatten(2, (side, side)).unflatten(1, (WINDOWS, WINDOWS))
    x = x.transpose(2, 3).flatten(3, 4).flatten(1, 2)
    return torch.roll(x, (shift, shift), dims=(1, 2)) if shift else x


class FlowBlock(nn.Module):
    """Self-attention of both images, then each asks the other as it was before this block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.self_attn = FlowAttention(channels, feed_forward=False)
        self.cross_attn_ffn = FlowAttention(channels, feed_forward=True)

    def forward(self, both: Tensor, shift: int, mask: Tensor | None) -> Tensor:
        """(2B, H, W, C): current images in the first half of the batch, previous in the second."""
        current, previous = both.unflatten(0, (2, -1)).unbind(0)
        other = torch.cat([previous, current])
        both = both + self.self_attn(both, both, shift, mask)
        return both + self.cross_attn_ffn(both, other, shift, mask)


class FlowTransformer(nn.Module):
    """Six blocks, every second one on windows shifted by half their side."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(FlowBlock(channels) for _ in range(blocks))

    def forward(self, both: Tensor, mask: Tensor) -> Tensor:
        half_window = both.shape[1] // WINDOWS // 2
        for index, layer in enumerate(self.layers):
            shifted = index % 2 == 1
            both = layer(both, half_window if shifted else 0, mask if shifted else None)
        return both


class FlowPropagation(nn.Module):
    """Self-similarity that spreads flow; the key projects the projected query, as released."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(channels, channels)
        self.k_proj = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor, flow: Tensor) -> Tensor:
        """Tokens (B, N, C), flow (B, N, 2) -> (B, N, 2)."""
        query = self.q_proj(tokens)
        return attention(query, self.k_proj(query), flow, tokens.shape[-1] ** -0.5)


class GmFlow(nn.Module):
    """Flow in two halves: features of one image, and the matching of two."""

    position: Tensor
    mask: Tensor

    def __init__(self, config: KeepConfig) -> None:
        super().__init__()
        self.feature_channels = channels = config.flow_channels[-1]
        self.backbone = FlowBackbone(config.flow_channels)
        self.transformer = FlowTransformer(channels, config.flow_blocks)
        self.feature_flow_attn = FlowPropagation(channels)
        self.upsampler = nn.Sequential(
            nn.Conv2d(2 + channels, config.flow_upsampler_channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(config.flow_upsampler_channels, NEIGHBOURS * STRIDE**2, 1),
        )
        # Constants of the configured size, so that an exported graph holds them as data.
        size = config.flow_size
        self.register_buffer("position", position_code(channels, size), persistent=False)
        self.register_buffer("mask", shift_mask(size), persistent=False)

    def features(self, face: Tensor) -> Tensor:
        """Face (B, 3, S, S) in [-1, 1] -> (B, 128, S/8, S/8)."""
        return self.backbone(normalised(face))

    def tokens(self, current: Tensor, previous: Tensor) -> Tensor:
        """Refined tokens of the current image, (B, N, C)."""
        channels, size = current.shape[1], current.shape[-1]
        position, mask = self.position, self.mask
        if size != position.shape[0]:
            position, mask = position_code(channels, size), shift_mask(size)
        both = torch.cat([current, previous]).permute(0, 2, 3, 1) + position
        refined: Tensor = self.transformer(both, mask)
        return refined.flatten(1, 2)

    def match(self, current: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        """Features of both frames -> flow (B, 2, S/8, S/8) in cells, and its upsampling mask.

        The mask is (B, 576, S/8, S/8), viewed as (neighbour, row offset, column offset), before
        the softmax over the nine neighbours (docs/model.md, sections 12.5 and 12.6).
        """
        both_tokens = self.tokens(current, previous)
        refined, other = both_tokens.unflatten(0, (2, -1)).unbind(0)
        size = current.shape[-1]
        # From the centre: the offset cancels, and float32 sums over 4096 cells err 7 times less.
        cells = cell_coordinates(size).to(refined) - (size - 1) / 2
        matched = attention(refined, other, cells, refined.shape[-1] ** -0.5) - cells
        flow = to_map(self.feature_flow_attn(refined, matched), size)
        mask: Tensor = self.upsampler(torch.cat([flow, to_map(refined, size)], dim=1))
        return flow, mask

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        """Two faces -> flow (B, 2, S, S) in pixels, from the current frame to the previous one."""
        flow, mask = self.match(self.features(current), self.features(previous))
        return upsample_flow(flow, mask)


def normalised(face: Tensor) -> Tensor:
    """A face in [-1, 1] in units of ImageNet's colours, as the backbone takes it."""
    mean = torch.tensor(IMAGE_MEAN, device=face.device).view(3, 1, 1)
    std = torch.tensor(IMAGE_STD, device=face.device).view(3, 1, 1)
    return ((face + 1) / 2 - mean) / std


def position_code(channels: int, size: int) -> Tensor:
    """Sine code (size, size, channels), repeated in each of the 2 x 2 windows; rows come first."""
    side, half = size // WINDOWS, channels // 2
    steps = torch.arange(1, side + 1, dtype=torch.float32) * (2 * math.pi / (side + 1e-6))
    periods = 10000.0 ** (2 * (torch.arange(half) // 2) / half)
    angles = steps[:, None] / periods
    code = torch.where(torch.arange(half) % 2 == 0, angles.sin(), angles.cos())
    window = torch.cat(
        [code[:, None].expand(side, side, half), code[None].expand(side, side, half)], dim=-1
    )
    return window.repeat(WINDOWS, WINDOWS, 1)


def shift_mask(size: int) -> Tensor:
    """(4, N, N) score offsets of shifted windows: -100 between regions that only rolling joined."""
    side = size // WINDOWS
    bands = torch.arange(size)
    bands = (bands >= size - side).int() + (bands >= size - side // 2).int()
    regions = (3 * bands[:, None] + bands[None]).view(1, size, size, 1)
    inside = _to_windows(regions, shift=0)[0, :, :, 0]
    return (inside[:, :, None] != inside[:, None, :]).float() * -100.0


def cell_coordinates(size: int) -> Tensor:
    """(size * size, 2) x and y of each cell, row-major."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return torch.stack([columns, rows], dim=-1).view(-1, 2).float()


def upsample_flow(flow: Tensor, mask: Tensor) -> Tensor:
    """(B, 2, h, w) in cells -> (B, 2, 8h, 8w) in pixels, convex (docs/model.md, section 12.6)."""
    batch, _, rows, columns = flow.shape
    weights = mask.view(batch, 1, NEIGHBOURS, STRIDE, STRIDE, rows, columns).softmax(dim=2)
    around = F.unfold(STRIDE * flow, 3, padding=1)
    around = around.view(batch, 2, NEIGHBOURS, 1, 1, rows, columns)
    fine = (weights * around).sum(dim=2)
    return fine.permute(0, 1, 4, 2, 5, 3).reshape(batch, 2, STRIDE * rows, STRIDE * columns)


def backward_warp(image: Tensor, flow: Tensor) -> Tensor:
    """Samples `image` at (column + flow_x, row + flow_y); outside is zero.

    Goes through normalised coordinates in this order of operations because the released code
    does, and its float32 rounding (2e-5 pixel at 512) is part of the result (docs/model.md,
    section 11).
    """
    height, width = image.shape[-2:]
    columns = torch.arange(width, device=image.device, dtype=image.dtype)
    rows = torch.arange(height, device=image.device, dtype=image.dtype)[:, None]
    u = 2.0 * (columns + flow[:, 0]) / (width - 1) - 1.0
    v = 2.0 * (rows + flow[:, 1]) / (height - 1) - 1.0
    grid = torch.stack([u, v], dim=-1)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
