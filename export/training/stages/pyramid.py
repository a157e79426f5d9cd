"""The pyramid's flow, supervised by known movements: every level is held to the truth.

Correlations say where a cell has gone, so that, unlike GMFlow's, it learns by the flow alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from keeprt.export.model.gmflow import upsample_flow
from keeprt.export.model.pyramid import FlowCorrection, PyramidFlow
from keeprt.export.training.material import Batch
from keeprt.export.training.stage import Figures
from keeprt.export.training.stages.flow import FlowStage

LEVEL_WEIGHT = 0.3


class PyramidFlowStage(FlowStage):
    """Flow from each frame to the one before it, by the batches that GMFlow learns from."""

    def begin(self) -> None:
        """As GMFlow, but nothing moves at first."""
        super().begin()
        for module in self.network.flownet.modules():
            if isinstance(module, FlowCorrection):
                last = module.layers[-1]
                assert isinstance(last, nn.Conv2d)
                nn.init.zeros_(last.weight)

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, Figures]:
        """L1 of the flow in pixels, and of each level's."""
        assert batch.flows is not None
        flownet, truth = self.network.flownet.model, batch.flows.flatten(0, 1)
        assert isinstance(flownet, PyramidFlow)
        features = flownet.features(batch.degraded.flatten(0, 1))
        features = features.unflatten(0, batch.degraded.shape[:2])
        now, before = features[:, 1:].flatten(0, 1), features[:, :-1].flatten(0, 1)
        levels = flownet.estimates(now, before)
        mask = flownet.upsampler(torch.cat([levels[-1], now], dim=1))  # as in PyramidFlow.match
        estimate = upsample_flow(levels[-1], mask)
        error = (estimate - truth).norm(dim=1).mean()
        coarse = torch.stack([level_loss(flow, truth) for flow in levels]).sum()
        return F.l1_loss(estimate, truth) + LEVEL_WEIGHT * coarse, {
            "error_px": error.item(),
            "zero_flow_error_px": truth.norm(dim=1).mean().item(),
        }


def level_loss(flow: Tensor, truth: Tensor) -> Tensor:
    """L1 in pixels of a level's flow (B, 2, h, h) in its cells, against the truth (B, 2, S, S)."""
    cell_px = truth.shape[-1] // flow.shape[-1]
    return F.l1_loss(cell_px * flow, F.avg_pool2d(truth, cell_px))
