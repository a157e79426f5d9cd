"""The two encoders (one structure, two sets of weights) and the generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from keeprt.export.model.blocks import AttnBlock, Downsample, GroupNorm, ResBlock, Upsample
from keeprt.export.model.config import KeepConfig

RES_BLOCKS_PER_LEVEL = 2


class Encoder(nn.Module):
    """Face (B, 3, S, S) in [-1, 1] to latent (B, 256, S/32, S/32), with taps on the way.

    A tap is the output of the last ResBlock at its size, before any attention there.
    """

    def __init__(self, config: KeepConfig) -> None:
        super().__init__()
        groups, size, channels = config.norm_groups, config.face_size, config.base_channels
        blocks: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1)]
        self.taps: dict[int, int] = {}
        for level, multiplier in enumerate(config.channel_multipliers):
            if level:
                blocks.append(Downsample(channels))
                size //= 2
            for _ in range(RES_BLOCKS_PER_LEVEL):
                out_channels = config.base_channels * multiplier
                blocks.append(ResBlock(channels, out_channels, groups))
                channels = out_channels
                if size in config.cft_scales:
                    self.taps[size] = len(blocks) - 1
                if size == config.latent_size:
                    blocks.append(AttnBlock(channels, groups))
        blocks += [
            ResBlock(channels, channels, groups),
            AttnBlock(channels, groups),
            ResBlock(channels, channels, groups),
            GroupNorm(channels, groups),
            nn.Conv2d(channels, config.latent_channels, 3, padding=1),
        ]
        self.blocks = nn.ModuleList(blocks)

    def forward(self, face: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """Latent, and the taps by their scale in the released network's terms (side of the map)."""
        taken = {block: scale for scale, block in self.taps.items()}
        taps: dict[int, Tensor] = {}
        x = face
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in taken:
                taps[taken[index]] = x
        return x, taps


class Generator(nn.Module):
    """Quantised latent (B, 256, S/32, S/32) to face (B, 3, S, S), unclamped.

    `fuse[scale]` is applied after the first ResBlock of that scale, and after the second at the
    latent's own scale; this is where CFT and CFA sit.
    """

    def __init__(self, config: KeepConfig) -> None:
        super().__init__()
        groups, size = config.norm_groups, config.latent_size
        channels = config.channels_at(size)
        blocks: list[nn.Module] = [
            nn.Conv2d(config.latent_channels, channels, 3, padding=1),
            ResBlock(channels, channels, groups),
            AttnBlock(channels, groups),
            ResBlock(channels, channels, groups),
        ]
        self.fusion_points: dict[int, int] = {}
        while size <= config.face_size:
            for _ in range(RES_BLOCKS_PER_LEVEL):
                out_channels = config.channels_at(size)
                blocks.append(ResBlock(channels, out_channels, groups))
                channels = out_channels
                if size == config.latent_size:
                    self.fusion_points[size] = len(blocks) - 1
                    blocks.append(AttnBlock(channels, groups))
                elif size not in self.fusion_points:
                    self.fusion_points[size] = len(blocks) - 1
            if size < config.face_size:
                blocks.append(Upsample(channels))
            size *= 2
        blocks += [GroupNorm(channels, groups), nn.Conv2d(channels, 3, 3, padding=1)]
        self.blocks = nn.ModuleList(blocks)

    def forward(self, quantised: Tensor, fuse: Mapping[int, Callable[[Tensor], Tensor]]) -> Tensor:
        fused_after = {self.fusion_points[scale]: step for scale, step in fuse.items()}
        x = quantised
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in fused_after:
                x = fused_after[index](x)
        return x
