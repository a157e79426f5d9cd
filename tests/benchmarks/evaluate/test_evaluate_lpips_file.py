"""LPIPS's file made of two weight files: made weights of the right names and shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from keeprt.benchmarks.evaluate.lpips_file import CHANNELS, SCALE, SHIFT, main
from keeprt.benchmarks.evaluate.networks import COMMON_OPTIONS, lpips_measure
from keeprt.benchmarks.evaluate.onnx_file import OnnxNetwork, parse_file
from keeprt.benchmarks.evaluate.paper import stated
from keeprt.benchmarks.evaluate.table import LPIPS, SIGMA_IDS
from keeprt.engine.errors import UsageError
from tests.networks import faces

LAYERS = ((0, 3, 64, 11), (3, 64, 192, 5), (6, 192, 384, 3), (8, 384, 256, 3), (10, 256, 256, 3))


def made_weights(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Files as torchvision and LPIPS publish them, with made numbers."""
    torch.manual_seed(0)
    alexnet: dict[str, torch.Tensor] = {"classifier.1.bias": torch.zeros(4)}
    for index, given, made, side in LAYERS:
        alexnet[f"features.{index}.weight"] = torch.randn(made, given, side, side) * 0.05
        alexnet[f"features.{index}.bias"] = torch.randn(made) * 0.1
    heads = {f"lin{n}.model.1.weight": torch.rand(1, c, 1, 1) for n, c in enumerate(CHANNELS)}
    torch.save(alexnet, folder / "alexnet.pth")
    torch.save(heads, folder / "alex.pth")
    return alexnet, heads


def expected(
    alexnet: dict[str, torch.Tensor], heads: dict[str, torch.Tensor], a: np.ndarray, b: np.ndarray
) -> float:
    """The formula of the paper's Eq. 1, layer after layer."""

    def features(picture: np.ndarray) -> list[torch.Tensor]:
        x = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
        x = (x - torch.tensor(SHIFT).view(1, 3, 1, 1)) / torch.tensor(SCALE).view(1, 3, 1, 1)
        found = []
        for position, (index, _, _, side) in enumerate(LAYERS):
            if position in (1, 2):
                x = F.max_pool2d(x, 3, 2)
            how = {"stride": 4, "padding": 2} if not position else {"padding": side // 2}
            weight, bias = (alexnet[f"features.{index}.{key}"] for key in ("weight", "bias"))
            x = F.relu(F.conv2d(x, weight, bias, **how))
            found.append(x)
        return found

    total = 0.0
    for n, (f, g) in enumerate(zip(features(a), features(b), strict=True)):
        difference = (F.normalize(f, dim=1) - F.normalize(g, dim=1)) ** 2
        total += float((heads[f"lin{n}.model.1.weight"] * difference).sum(1).mean())
    return total


@pytest.mark.slow
def test_the_command_makes_a_file_that_computes_lpips(tmp_path: Path) -> None:
    alexnet, heads = made_weights(tmp_path)
    out = tmp_path / "lpips.onnx"
    main([str(tmp_path / "alexnet.pth"), str(tmp_path / "alex.pth"), str(out), "--side", "128"])
    a, b = faces(2)
    network = OnnxNetwork(parse_file(str(out), COMMON_OPTIONS), threads=1)
    measure = lpips_measure(network, a.shape[0])
    assert measure.values is not None
    found = measure.values(measure.prepare([a, a]), [b, a])
    assert found[0] == pytest.approx(expected(alexnet, heads, a, b), rel=1e-3)
    assert found[1] == pytest.approx(0, abs=1e-6)


def test_other_files_are_refused(tmp_path: Path) -> None:
    made_weights(tmp_path)
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "other.pth")
    with pytest.raises(UsageError, match="not AlexNet's and LPIPS's weights"):
        main([str(tmp_path / "other.pth"), str(tmp_path / "alex.pth"), str(tmp_path / "o.onnx")])
    with pytest.raises(UsageError, match="cannot read"):
        main([str(tmp_path / "no.pth"), str(tmp_path / "alex.pth"), str(tmp_path / "o.onnx")])


def test_the_papers_row_is_in_the_columns_units() -> None:
    sigma = stated("mild", SIGMA_IDS)
    assert stated("heavy", LPIPS) == 0.1803 and sigma is not None
    assert SIGMA_IDS.text(sigma) == "3.687", "hundredths, as the paper prints them"
    assert stated("own", LPIPS) is None
