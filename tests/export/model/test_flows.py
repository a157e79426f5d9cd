"""Other networks in GMFlow's place: what they compute, and that nothing else has changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from keeprt.engine.restorer import Restorer
from keeprt.export.model import Keep, KeepConfig
from keeprt.export.model.pyramid import CONTRAST, RADIUS, FlowCorrection, PyramidFlow, correlation
from keeprt.export.weights.file import CONFIGURATION, read_configuration
from tests.goldens import to_clip
from tests.networks import export, faces, tiny_network


def test_the_released_flow_goes_unsaid_and_the_others_travel(tmp_path: Path) -> None:
    assert "flow" not in KeepConfig.small().as_dict()
    for flow in ("gmflow", "pyramid", "none"):
        config = KeepConfig.tiny(flow=flow)
        save_file(
            {"one": torch.ones(1)},
            str(tmp_path / "w.safetensors"),
            {CONFIGURATION: json.dumps(config.as_dict())},
        )
        assert read_configuration(tmp_path / "w.safetensors") == config


@pytest.mark.parametrize("changes", [{"flow": "farneback"}, {"flow": "pyramid", "face_size": 112}])
def test_impossible_flows_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"farneback|face_size 112"):
        KeepConfig.tiny(**({"cft_scales": (), "cfa_scales": ()} | changes))


def test_no_flow_has_no_weights_and_says_zero() -> None:
    network = Keep(KeepConfig.tiny(flow="none"))
    assert not list(network.flownet.parameters())
    flow = network.flownet.model(*torch.rand(2, 1, 3, 128, 128).unbind())
    assert flow.shape == (1, 2, 128, 128)
    assert not flow.any()


def test_correlation_is_the_likeness_to_each_neighbour() -> None:
    current, previous = torch.randn(2, 1, 4, 5, 6, dtype=torch.float64).unbind()
    near = correlation(current, previous)
    side = 2 * RADIUS + 1
    assert near.shape == (1, side**2, 5, 6)
    for dy, dx in ((0, 0), (-1, 2), (3, -3)):
        index = (dy + RADIUS) * side + dx + RADIUS
        for y, x in ((2, 3), (0, 0), (4, 5)):
            inside = 0 <= y + dy < 5 and 0 <= x + dx < 6
            other = (
                previous[0, :, y + dy, x + dx] if inside else torch.zeros(4, dtype=torch.float64)
            )
            here = current[0, :, y, x]
            expected = CONTRAST * float(here @ other) / float(here.norm() * (other.norm() + 1e-12))
            assert near[0, index, y, x].item() == pytest.approx(expected)


def test_each_level_corrects_the_doubled_flow_of_the_one_before() -> None:
    """With corrections that add one cell to the right, whatever they see."""
    flownet = PyramidFlow(KeepConfig.tiny(flow="pyramid"))
    for module in flownet.modules():
        if isinstance(module, FlowCorrection):
            torch.nn.init.zeros_(module.layers[-1].weight)
            module.layers[-1].bias.data = torch.tensor([1.0, 0.0])
    coarse, middle, fine = flownet.estimates(*torch.randn(2, 1, 16, 16, 16).unbind())
    for flow, cells, size in ((coarse, 1.0, 4), (middle, 3.0, 8), (fine, 7.0, 16)):
        assert flow.shape == (1, 2, size, size)
        assert torch.allclose(flow[:, 0], torch.tensor(cells))
        assert not flow[:, 1].any()


@pytest.mark.slow
@pytest.mark.parametrize("flow", ["pyramid", "none"])
def test_a_bundle_with_another_flow_runs_as_the_reference(flow: str, tmp_path: Path) -> None:
    network = tiny_network(flow=flow)
    restorer = Restorer.load(export(network, tmp_path / "bundle"), threads=1)
    assert restorer.bundle.manifest.configuration["flow"] == flow
    pictures = faces(3)
    with torch.no_grad():
        expected = list(network.run(to_clip(pictures), window=8))
    assert expected[1].flow.any() == (flow != "none")
    state = restorer.new_state()
    for picture, result in zip(pictures, expected, strict=True):
        face, state = restorer.restore(picture, state)
        reference = (result.face[0].clamp(-1, 1) + 1).mul(127.5).permute(1, 2, 0).numpy()
        assert np.abs(face - reference).max() < 1
