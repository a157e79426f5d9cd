"""The flow, supervised by known movements: GMFlow on pairs of degraded frames.

By the flow alone it never leaves zero: the matching itself needs a target (cross entropy to the
cells around the true place), and large movements before small ones.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from keeprt.export.model.blocks import to_map
from keeprt.export.model.gmflow import STRIDE, GmFlow, cell_coordinates, upsample_flow
from keeprt.export.training.material import Batch, Material
from keeprt.export.training.stage import Figures, Stage

# share of the steps, and the jitter in pixels at 256 that one of is drawn from, largest first
SCHEDULE = ((0.4, (6.0,)), (0.8, (0.0, 0.0, 1.0, 2.0, 4.0)), (1.0, (0.0, 0.0, 0.5, 1.0)))
EARLY_WEIGHT = 0.05


class FlowStage(Stage):
    """Flow from each frame to the one before it."""

    trains: ClassVar[tuple[str, ...]] = ("flownet.",)

    def begin(self) -> None:
        """Wider than torch's own: with those the features of all cells look alike."""
        for parameter in self.network.flownet.parameters():
            if parameter.dim() > 1:
                nn.init.kaiming_normal_(parameter, nonlinearity="linear")

    def draw(self, material: Material, random: np.random.Generator, step: int) -> Batch:
        """Clips with a jitter that falls over the stage."""
        choices = next(c for until, c in SCHEDULE if step <= until * self.recipe.steps)
        jitter = float(random.choice(choices))
        return material.moved(random, self.recipe.clips, self.recipe.frames, jitter)

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, Figures]:
        """Cross entropy of the matching + L1 of the flow, which counts little at first."""
        assert batch.flows is not None
        flownet, truth = self.network.flownet.model, batch.flows.flatten(0, 1)
        assert isinstance(flownet, GmFlow)
        cells = self.network.config.flow_size
        features = flownet.features(batch.degraded.flatten(0, 1))
        features = features.unflatten(0, batch.degraded.shape[:2])
        now, before = features[:, 1:].flatten(0, 1), features[:, :-1].flatten(0, 1)
        here, there = flownet.tokens(now, before).unflatten(0, (2, -1)).unbind(0)
        scores = (here @ there.transpose(1, 2) * here.shape[-1] ** -0.5).log_softmax(-1)
        wanted, inside = cell_targets(F.avg_pool2d(truth, STRIDE) / STRIDE)
        matching = -((wanted * scores).sum(-1) * inside).sum() / inside.sum().clamp(min=1)
        # GmFlow.match, whose scores are wanted too
        places = cell_coordinates(cells).to(here) - (cells - 1) / 2
        coarse = to_map(flownet.feature_flow_attn(here, scores.exp() @ places - places), cells)
        mask = flownet.upsampler(torch.cat([coarse, to_map(here, cells)], 1))
        estimate = upsample_flow(coarse, mask)
        error = (estimate - truth).norm(dim=1).mean()
        figures = {
            "matching": matching.item(),
            "error_px": error.item(),
            "zero_flow_error_px": truth.norm(dim=1).mean().item(),
        }
        weight = EARLY_WEIGHT if step <= SCHEDULE[0][0] * self.recipe.steps else 1.0
        return matching + weight * F.l1_loss(estimate, truth), figures


def cell_targets(flow: Tensor) -> tuple[Tensor, Tensor]:
    """What matching cells should say, of a flow (B, 2, h, h) in cells.

    Shares of the four cells around every cell's place in the other frame (B, N, N), and 1 for the
    cells whose place is inside it (B, N).
    """
    line = torch.arange(flow.shape[-1], device=flow.device)
    x, y = (line + flow[:, 0]).flatten(1), (line[:, None] + flow[:, 1]).flatten(1)
    last = len(line) - 1
    inside = ((x >= 0) & (x <= last) & (y >= 0) & (y <= last)).float()
    share_x = (1 - (x[..., None] - line).abs()).clamp(min=0)
    share_y = (1 - (y[..., None] - line).abs()).clamp(min=0)
    return (share_y[..., :, None] * share_x[..., None, :]).flatten(2), inside
