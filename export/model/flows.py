"""Which network finds the flow: GMFlow as released, a pyramid, or none at all."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from keeprt.export.model.config import KeepConfig
from keeprt.export.model.gmflow import NEIGHBOURS, STRIDE, GmFlow, upsample_flow
from keeprt.export.model.pyramid import PyramidFlow


class NoFlow(nn.Module):
    """Nothing ever moves: the last face is taken where it is."""

    feature_channels = 3

    def __init__(self, config: KeepConfig) -> None:
        super().__init__()

    def features(self, face: Tensor) -> Tensor:
        """Face (B, 3, S, S) -> the same at an eighth; nobody looks at it."""
        return F.avg_pool2d(face, STRIDE)

    def match(self, current: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        """As `GmFlow.match`: a flow of zeros."""
        # of both inputs, so that an exported graph keeps them
        nothing = 0 * (current - previous)[:, :1]
        return nothing.repeat(1, 2, 1, 1), nothing.repeat(1, NEIGHBOURS * STRIDE**2, 1, 1)

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        """Two faces (B, 3, S, S) -> zeros (B, 2, S, S)."""
        return upsample_flow(*self.match(self.features(current), self.features(previous)))


FLOWS: dict[str, type[GmFlow] | type[PyramidFlow] | type[NoFlow]] = {
    "gmflow": GmFlow,
    "pyramid": PyramidFlow,
    "none": NoFlow,
}


class FlowNet(nn.Module):
    """Holds the flow's network under the name that the checkpoint gives it."""

    def __init__(self, config: KeepConfig) -> None:
        super().__init__()
        self.model = FLOWS[config.flow](config)
