"""Mistakes that only the recurrence shows: one step from the right state of the frame before."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from keeprt.export.model import FrameResult, Keep, fusion
from tests import goldens


@cache
def taps_of(reference: Keep, index: int) -> dict[int, Tensor]:
    _, taps = reference.encoder(goldens.to_tensor(goldens.pictures_512()[index]))
    return taps


def step(reference: Keep, run: list[FrameResult], index: int, **changes: object) -> FrameResult:
    """Frame `index` of the golden clip anew, from what led to it but for `changes`."""
    given: dict[str, object] = {
        "latent": run[index].latent,
        "taps": taps_of(reference, index),
        "state": run[index - 1].state if index else None,
        "gain": run[index].gain,
        "flow": run[index].flow,
    }
    with torch.no_grad():
        return reference.step(**{**given, **changes})  # type: ignore[arg-type]


def must_differ(result: FrameResult, index: int) -> None:
    with pytest.raises(goldens.GoldenMismatchError) as caught:
        goldens.check_frame(result, index, "e2e_synthetic_1", first=index == 0)
    print(caught.value)


@pytest.mark.slow
class TestOneStep:
    def test_the_right_step_agrees(self, reference: Keep, reference_run: list[FrameResult]) -> None:
        result = step(reference, reference_run, 1)
        goldens.check_frame(result, 1, "e2e_synthetic_1", first=False)

    def test_gain_on_the_observation(
        self, reference: Keep, reference_run: list[FrameResult]
    ) -> None:
        gain = reference_run[1].gain
        assert gain is not None
        must_differ(step(reference, reference_run, 1, gain=1 - gain), 1)

    def test_previous_frame_clamped(
        self, reference: Keep, reference_run: list[FrameResult]
    ) -> None:
        before = reference_run[0].state
        state = replace(before, face=before.face.clamp(-1, 1))
        must_differ(step(reference, reference_run, 1, state=state), 1)

    def test_flow_direction_exchanged(
        self, reference: Keep, reference_run: list[FrameResult]
    ) -> None:
        previous, current = map(goldens.to_tensor, goldens.pictures_512()[:2])
        with torch.no_grad():
            flow = reference.flownet.model(previous, current)
        must_differ(step(reference, reference_run, 1, flow=flow), 1)

    def test_cache_holds_the_cft_output(
        self, reference: Keep, reference_run: list[FrameResult], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: dict[int, Tensor] = {}
        original = fusion.Cfa.forward

        def keep_input(self: fusion.Cfa, current: Tensor, previous: Tensor) -> Tensor:
            seen[current.shape[-1]] = current
            return original(self, current, previous)

        monkeypatch.setattr(fusion.Cfa, "forward", keep_input)
        step(reference, reference_run, 1)
        state = replace(reference_run[1].state, caches=dict(seen))
        must_differ(step(reference, reference_run, 2, state=state), 2)

    def test_cft_after_the_second_block_of_its_scale(
        self, reference: Keep, reference_run: list[FrameResult], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        points = reference.generator.fusion_points
        late = {**points, 32: points[32] + 1, 64: points[64] + 1}
        monkeypatch.setattr(reference.generator, "fusion_points", late)
        must_differ(step(reference, reference_run, 0), 0)

    def test_activation_before_the_generators_last_convolution(
        self, reference: Keep, reference_run: list[FrameResult], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        norm = reference.generator.blocks[23]
        original = norm.forward
        monkeypatch.setattr(norm, "forward", lambda x: F.silu(original(x)))
        must_differ(step(reference, reference_run, 0), 0)
