"""Every sub-network of the reference against the authors' code, at full size."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keeprt.export.model import Keep
from tests import goldens

CHECKS = [
    goldens.check_encoders_at_128,
    goldens.check_encoders_at_512,
    goldens.check_gain,
    goldens.check_gain_layers,
    goldens.check_lookup,
    goldens.check_cft,
    goldens.check_cfa,
    goldens.check_flow_stages,
    goldens.check_flow,
    goldens.check_warp,
]


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_sub_network(reference: Keep, check: Callable[[Keep], None]) -> None:
    check(reference)


@pytest.mark.slow
def test_gains_of_selected_frames_are_those_of_the_whole_window(reference: Keep) -> None:
    import torch

    latents = goldens.gain_latents()
    with torch.no_grad():
        newest = reference.kalman_filter(latents, torch.tensor([4, 1]))
    for row, frame in enumerate((4, 1)):
        expected = goldens.golden("gain")["gain_5"][frame]
        goldens.expect_close(f"gain {frame}", newest[0, row], expected, 1e-5)
