"""From a weights file to a bundle: the configuration is read off the tensors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from keeprt.engine.errors import CheckpointError
from keeprt.engine.restorer import Restorer
from keeprt.export.model import Keep, KeepConfig
from keeprt.export.pipeline import export_weights, load_network, tensor_shapes, with_scales_of
from keeprt.export.weights.load import load_checkpoint
from tests.goldens import to_clip
from tests.networks import faces

# As the release official-asian: taps from twice the latent's side up, CFA where it always was.
WIDE = KeepConfig.tiny(cft_scales=(32, 64, 128), cfa_scales=(16, 32))
WIDE_RELEASE = KeepConfig(cft_scales=(32, 64, 128, 256))


def newer_names(config: KeepConfig) -> dict[str, torch.Tensor]:
    tensors = load_checkpoint("synthetic:3", manifest=tensor_shapes(config))
    return {
        name.replace("cross_fuse.", "cfa.").replace("fuse_convs_dict.", "cft."): tensor
        for name, tensor in tensors.items()
    }


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.save({"params_ema": newer_names(WIDE)}, tmp_path / "KEEP_Wide.pth")
    return tmp_path / "KEEP_Wide.pth"


@pytest.mark.parametrize("config", [KeepConfig(), WIDE_RELEASE, KeepConfig(cfa_scales=(32,))])
def test_scales_are_read_off_the_tensors(config: KeepConfig) -> None:
    names = [name for name, _ in tensor_shapes(config)]
    assert with_scales_of(names, KeepConfig()) == config


def test_a_network_with_other_taps_takes_its_own_tensors(weights: Path) -> None:
    network, _ = load_network(weights, KeepConfig.tiny())
    assert network.config == WIDE
    expected = Keep(WIDE).state_dict().keys()
    assert list(network.state_dict()) == list(expected)


def test_scales_without_features_are_refused_as_foreign(tmp_path: Path) -> None:
    odd = {name.replace("cft.128", "cft.100"): v for name, v in newer_names(WIDE).items()}
    torch.save(odd, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match=r"not part of the network: fuse_convs_dict\.100"):
        load_network(tmp_path / "odd.pth", KeepConfig.tiny())


@pytest.mark.slow
def test_a_network_with_other_taps_is_exported_and_runs_as_the_reference(
    weights: Path, tmp_path: Path
) -> None:
    export_weights(weights, tmp_path / "bundle", config=KeepConfig.tiny())
    restorer = Restorer.load(tmp_path / "bundle", mode="stream", threads=1)
    assert tuple(restorer.bundle.manifest.configuration["cft_scales"]) == WIDE.cft_scales
    pictures = faces(3)
    network, _ = load_network(weights, replace(WIDE))
    with torch.no_grad():
        expected = list(network.run(to_clip(pictures), window=8))
    state = restorer.new_state()
    for picture, result in zip(pictures, expected, strict=True):
        face, state = restorer.restore(picture, state)
        reference = (result.face[0].clamp(-1, 1) + 1).mul(127.5).permute(1, 2, 0).numpy()
        assert np.abs(face - reference).max() < 1
