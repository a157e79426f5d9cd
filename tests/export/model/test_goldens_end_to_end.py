"""The whole reference against the authors' code over recurrent frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from keeprt.export.model import FrameResult, Keep
from tests.goldens import (
    check_frame,
    expect_close,
    expect_sampled,
    golden,
    pictures_512,
    to_clip,
)

pytestmark = pytest.mark.slow


def check_gain_and_flow(result: FrameResult, index: int, name: str, flow_row: int) -> None:
    expected = golden(name)
    assert result.gain is not None and result.flow is not None
    expect_close(f"gain {index}", result.gain[0], expected["gain"][index], 2e-5)
    # The golden flow is stored in half precision.
    flow = result.flow[0, :, ::4, ::4].numpy()
    assert np.abs(flow - expected["flow_stride4"][flow_row]).max() <= 0.02
    largest = result.flow.abs().max().item()
    assert largest == pytest.approx(float(expected["flow_absmax"][flow_row]), abs=1e-3)


def test_one_clip_of_four_frames(reference_run: list[FrameResult]) -> None:
    for index, result in enumerate(reference_run):
        check_frame(result, index, "e2e_synthetic_1", first=index == 0)
        if index:
            check_gain_and_flow(result, index, "e2e_synthetic_1", index - 1)


def test_latents_of_the_clip(reference_run: list[FrameResult]) -> None:
    expected = golden("e2e_synthetic_1")
    observed = torch.cat([result.latent for result in reference_run])
    expect_sampled("z", observed, expected, "z", 5e-5)
    later = reference_run[1:]
    updated = torch.cat([result.updated for result in later])
    expect_sampled("updated", updated, expected, "z_hat", 5e-4)
    predicted = torch.cat([result.predicted for result in later if result.predicted is not None])
    expect_sampled("predicted", predicted, expected, "z_prime", 5e-4)


def test_two_clips_of_two_frames(reference: Keep) -> None:
    pictures = pictures_512()
    for start in (0, 2):
        with torch.no_grad():
            results = list(reference.run(to_clip(pictures[start : start + 2])))
        name = "e2e_synthetic_1_chunks"
        for offset, result in enumerate(results):
            check_frame(result, start + offset, name, first=offset == 0)
        check_gain_and_flow(results[1], start + 1, name, start // 2)
