"""Rewrites of the network that compute the same with less work, applied before export."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from keeprt.export.model import Keep
from keeprt.export.model.blocks import Upsample

ModuleT = TypeVar("ModuleT", bound=nn.Module)

# Row u of a 3x3 kernel on the doubled map falls on row TAPS[phase][:, u] of the small one.
TAPS = torch.tensor(
    [[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]],
    dtype=torch.float64,
)


class PhasedUpsample(nn.Module):
    """Nearest doubling and a 3x3 convolution as four 2x2 convolutions of the small map.

    Each of the four output phases sees only 2x2 distinct inputs, so the kernel's rows and columns
    that fall on the same input are summed beforehand: 16 products instead of 36 per input pixel,
    and the doubled input is never written.
    """

    def __init__(self, upsample: Upsample) -> None:
        super().__init__()
        weight, bias = upsample.conv.weight.detach().double(), upsample.conv.bias
        assert bias is not None
        summed = torch.einsum("aiu,bjv,ocuv->abocij", TAPS, TAPS, weight).float()
        self.weights = nn.ParameterList(
            nn.Parameter(summed[a, b], requires_grad=False) for a in (0, 1) for b in (0, 1)
        )
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        rows = [torch.stack([self._phase(x, a, b) for b in (0, 1)], dim=-1) for a in (0, 1)]
        return torch.stack(rows, dim=-3).flatten(-2).flatten(-3, -2)

    def _phase(self, x: Tensor, a: int, b: int) -> Tensor:
        padded = F.pad(x, (1 - b, b, 1 - a, a))
        return F.conv2d(padded, self.weights[2 * a + b], self.bias)


def phased(network: Keep) -> Keep:
    """The same network, sharing its weights, with every Upsample in the cheaper form."""
    clone = _shallow(network)
    clone.generator = _shallow(network.generator)
    clone.generator.blocks = nn.ModuleList(
        PhasedUpsample(block) if isinstance(block, Upsample) else block
        for block in network.generator.blocks
    )
    return clone


def _shallow(module: ModuleT) -> ModuleT:
    clone = copy.copy(module)
    clone._modules = dict(module._modules)
    return clone
