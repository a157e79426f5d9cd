"""A pyramid network for the flow, after PWC-Net (Sun et al., CVPR 2018): warp, correlate, correct.

In GMFlow's place: the same features at an eighth of the face, the same convex upsampling. Between
them local matching, coarse to fine, where GMFlow compares every cell with every other.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from keeprt.export.model.config import KeepConfig
from keeprt.export.model.gmflow import (
    NEIGHBOURS,
    STRIDE,
    FlowBackbone,
    backward_warp,
    normalised,
    upsample_flow,
)

LEVELS = 3  # cells of 32, 16 and 8 pixels
RADIUS = 3  # of the neighbourhood that is searched, in cells
LEAK = 0.1
CONTRAST = 4.0  # cosines beside features of order one


class FlowCorrection(nn.Module):
    """What a level adds to the flow: from correlations, features and the flow so far."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        given, wide = (2 * RADIUS + 1) ** 2 + channels + 2, 2 * channels
        self.layers = nn.Sequential(
            nn.Conv2d(given, wide, 3, padding=1),
            nn.LeakyReLU(LEAK),
            nn.Conv2d(wide, channels, 3, padding=1),
            nn.LeakyReLU(LEAK),
            nn.Conv2d(channels, 2, 3, padding=1),
        )

    def forward(self, current: Tensor, previous: Tensor, flow: Tensor) -> Tensor:
        """Features (B, C, h, w) and flow (B, 2, h, w) in cells -> flow."""
        near = correlation(current, backward_warp(previous, flow))
        correction: Tensor = self.layers(torch.cat([near, current, flow], dim=1))
        return flow + correction


class PyramidFlow(nn.Module):
    """Flow in two halves: features of one image, and the matching of two."""

    def __init__(self, config: KeepConfig) -> None:
        super().__init__()
        self.feature_channels = channels = config.flow_channels[-1]
        self.backbone = FlowBackbone(config.flow_channels)
        self.coarser = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, stride=2, padding=1) for _ in range(LEVELS - 1)
        )
        self.corrections = nn.ModuleList(FlowCorrection(channels) for _ in range(LEVELS))
        self.upsampler = nn.Sequential(
            nn.Conv2d(2 + channels, config.flow_upsampler_channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(config.flow_upsampler_channels, NEIGHBOURS * STRIDE**2, 1),
        )

    def features(self, face: Tensor) -> Tensor:
        """Face (B, 3, S, S) in [-1, 1] -> (B, C, S/8, S/8)."""
        features: Tensor = self.backbone(normalised(face))
        return features

    def estimates(self, current: Tensor, previous: Tensor) -> list[Tensor]:
        """Features of both frames -> the flow of each level in its own cells, coarsest first."""
        pyramid = [(current, previous)]
        for coarser in self.coarser:
            now, before = (F.leaky_relu(coarser(x), LEAK) for x in pyramid[-1])
            pyramid.append((now, before))
        flow = torch.zeros_like(pyramid[-1][0][:, :2])
        flows: list[Tensor] = []
        for correct, (now, before) in zip(self.corrections, reversed(pyramid), strict=True):
            if flows:
                flow = 2 * F.interpolate(flow, scale_factor=2.0, mode="bilinear")
            flow = correct(now, before, flow)
            flows.append(flow)
        return flows

    def match(self, current: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        """As `GmFlow.match`: flow (B, 2, S/8, S/8) in cells, and its upsampling mask."""
        flow = self.estimates(current, previous)[-1]
        mask: Tensor = self.upsampler(torch.cat([flow, current], dim=1))
        return flow, mask

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        """Two faces -> flow (B, 2, S, S) in pixels, from the current frame to the previous one."""
        return upsample_flow(*self.match(self.features(current), self.features(previous)))


def correlation(current: Tensor, previous: Tensor) -> Tensor:
    """(B, C, h, w) twice -> (B, (2 RADIUS + 1)^2, h, w): likeness to each neighbour.

    Cosines times CONTRAST; of products as they are it learns several times more slowly.
    """
    rows, columns = current.shape[-2:]
    here = CONTRAST * F.normalize(current, dim=1)
    padded = F.pad(F.normalize(previous, dim=1), (RADIUS,) * 4)
    side = range(2 * RADIUS + 1)
    near = [
        (here * padded[..., y : y + rows, x : x + columns]).sum(dim=1) for y in side for x in side
    ]
    return torch.stack(near, dim=1)
