"""Makes the file for --lpips-onnx: AlexNet with LPIPS's linear heads, from the two public files.

    python -m keeprt.benchmarks.evaluate.lpips_file alexnet.pth alex.pth lpips.onnx

alexnet.pth: torchvision's AlexNet, https://download.pytorch.org/models/alexnet-owt-7be5be79.pth.
alex.pth: the heads of version 0.1, lpips/weights/v0.1/alex.pth of
https://github.com/richzhang/PerceptualSimilarity. R. Zhang et al.: The Unreasonable Effectiveness
of Deep Features as a Perceptual Metric, CVPR 2018: d = sum over layers of the mean over pixels of
w . (f/|f| - f0/|f0|)^2.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from keeprt.engine.errors import UsageError

CHANNELS = (64, 192, 384, 256, 256)
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class Lpips(nn.Module):
    """Two pictures (1, 3, S, S) in -1..1 give one number (1,)."""

    shift: Tensor
    scale: Tensor

    def __init__(self, alexnet: Mapping[str, Tensor], heads: Mapping[str, Tensor]) -> None:
        """Weights by torchvision's and LPIPS's names. Raises UsageError for other files."""
        super().__init__()
        pool = nn.MaxPool2d(3, 2)
        self.slices = nn.ModuleList(
            nn.Sequential(*layers)
            for layers in (
                (nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU()),
                (pool, nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()),
                (pool, nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
                (nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
                (nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
            )
        )
        self.heads = nn.ModuleList(nn.Conv2d(count, 1, 1, bias=False) for count in CHANNELS)
        convolutions = [m for m in self.slices.modules() if isinstance(m, nn.Conv2d)]
        try:
            for module, index in zip(convolutions, (0, 3, 6, 8, 10), strict=True):
                kept = {key: alexnet[f"features.{index}.{key}"] for key in ("weight", "bias")}
                module.load_state_dict(kept)
            for number, head in enumerate(self.heads):
                head.load_state_dict({"weight": heads[f"lin{number}.model.1.weight"]})
        except (KeyError, RuntimeError) as error:
            raise UsageError(f"these are not AlexNet's and LPIPS's weights: {error}") from None
        self.register_buffer("shift", torch.tensor(SHIFT).reshape(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).reshape(1, 3, 1, 1))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """The distance."""
        a, b = ((x - self.shift) / self.scale for x in (first, second))
        total = torch.zeros(first.shape[0])
        for layers, head in zip(self.slices, self.heads, strict=True):
            a, b = layers(a), layers(b)
            distance = head((_unit(a) - _unit(b)) ** 2)
            total = total + distance.mean(dim=(1, 2, 3))
        return total


def write_lpips(alexnet: Path, heads: Path, out: Path, side: int = 512) -> None:
    """Writes the ONNX file for pictures of `side` pixels. Raises UsageError."""
    network = Lpips(_loaded(alexnet), _loaded(heads)).eval()
    example = (torch.zeros(1, 3, side, side), torch.zeros(1, 3, side, side))
    torch.onnx.export(
        network,
        example,
        str(out),
        input_names=["first", "second"],
        output_names=["distance"],
        dynamo=True,
        external_data=False,
    )


def _unit(features: Tensor) -> Tensor:
    length = torch.sqrt(torch.sum(features**2, dim=1, keepdim=True))
    return features / (length + 1e-10)


def _loaded(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return found
    except Exception as error:  # whatever pickle and torch raise for a file of another kind
        raise UsageError(f"cannot read {path}: {error}") from None


def main(arguments: Sequence[str] | None = None) -> None:
    """The command of the first lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("alexnet", type=Path)
    parser.add_argument("heads", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--side", type=int, default=512, help="of the pictures, in pixels")
    asked = parser.parse_args(arguments)
    write_lpips(asked.alexnet, asked.heads, asked.out, asked.side)


if __name__ == "__main__":
    main()
