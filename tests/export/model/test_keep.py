"""The network from outside: checkpoint names, configurations, ablations, what frames depend on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from keeprt.export.model import FrameResult, Keep, KeepConfig
from keeprt.export.model.keep import stream_window
from keeprt.export.weights.load import published_manifest
from tests.goldens import to_clip
from tests.networks import faces, tiny_network


def run(network: Keep, clip: Tensor, window: int | None = None) -> list[FrameResult]:
    with torch.no_grad():
        return list(network.run(clip, window))


@pytest.fixture(scope="module")
def clip() -> Tensor:
    return to_clip(faces(6))


def test_parameters_are_those_of_the_released_checkpoint_in_its_order() -> None:
    with torch.device("meta"):
        network = Keep(KeepConfig())
    parameters = [(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()]
    assert parameters == published_manifest()


def test_ablations_drop_their_tensors_and_no_others() -> None:
    def names(**changes: Any) -> set[str]:
        with torch.device("meta"):
            return set(Keep(KeepConfig(**changes)).state_dict())

    whole = names()
    dropped = {name.partition(".")[0] for name in whole - names(kalman=False)}
    assert dropped == {"flownet", "kalman_filter", "hq_encoder"}
    assert {name.partition(".")[0] for name in whole - names(cfa=False)} == {"cross_fuse"}
    assert names(kalman=False, cfa=False) < names(cfa=False) < whole


@pytest.mark.parametrize(
    "changes",
    [
        {"face_size": 500},
        {"channel_multipliers": (1, 2), "face_size": 40, "cft_scales": (), "cfa_scales": ()},
        {"cft_scales": (16, 48)},
        {"cfa_scales": (16, 100)},
    ],
)
def test_impossible_configurations_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"face_size|scales"):
        KeepConfig(**changes)


@pytest.mark.slow
def test_forward_gives_the_faces_of_run(tiny: Keep, clip: Tensor) -> None:
    with torch.no_grad():
        faces_out = tiny(clip[:, :3])
    assert faces_out.shape == clip[:, :3].shape
    expected = torch.stack([result.face for result in run(tiny, clip[:, :3])], dim=1)
    assert torch.equal(faces_out, expected)


def test_a_batch_of_clips_is_the_clips_one_by_one(tiny: Keep, clip: Tensor) -> None:
    other = to_clip(faces(3, seed=1))
    together = run(tiny, torch.cat([clip[:, :3], other]))
    for row, single in enumerate((clip[:, :3], other)):
        for both, alone in zip(together, run(tiny, single), strict=True):
            torch.testing.assert_close(both.face[row : row + 1], alone.face, atol=1e-4, rtol=1e-4)
            assert torch.equal(both.codes[row : row + 1], alone.codes)


@pytest.mark.slow
def test_the_first_frame_depends_on_nothing_else(tiny: Keep, clip: Tensor) -> None:
    alone, longer = run(tiny, clip[:, :1])[0], run(tiny, clip)[0]
    assert torch.equal(alone.face, longer.face)
    assert alone.gain is None


def test_gains_look_ahead_within_a_clip(tiny: Keep, clip: Tensor) -> None:
    short, longer = run(tiny, clip[:, :3])[2].gain, run(tiny, clip)[2].gain
    assert short is not None
    assert longer is not None
    assert (short - longer).abs().max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("window", [2, 3, 5])
def test_stream_gains_are_those_of_a_clip_of_the_windows_frames(
    tiny: Keep, clip: Tensor, window: int
) -> None:
    streamed = run(tiny, clip, window)
    for index in range(1, clip.shape[1]):
        frames = [0, *range(max(1, index - window + 2), index + 1)]
        assert stream_window(index, window) == frames
        assert len(frames) <= window
        of_clip = run(tiny, clip[:, frames])[-1].gain
        assert of_clip is not None
        torch.testing.assert_close(streamed[index].gain, of_clip, atol=1e-6, rtol=0)


@pytest.mark.slow
def test_a_window_as_long_as_the_clip_gives_the_gains_of_prefixes(tiny: Keep, clip: Tensor) -> None:
    streamed, wide = run(tiny, clip, window=6), run(tiny, clip, window=20)
    for a, b in zip(streamed, wide, strict=True):
        assert torch.equal(a.face, b.face)
    last = run(tiny, clip)[-1].gain
    torch.testing.assert_close(streamed[-1].gain, last, atol=1e-6, rtol=0)


@pytest.fixture(scope="module")
def without_kalman() -> Iterator[Keep]:
    yield tiny_network(kalman=False)


def test_without_kalman_every_latent_is_the_observed_one(
    without_kalman: Keep, clip: Tensor
) -> None:
    results = run(without_kalman, clip)
    assert all(torch.equal(result.updated, result.latent) for result in results)
    # CFA still looks back.
    alone = run(without_kalman, clip[:, 2:3])[0]
    assert torch.equal(results[2].codes, alone.codes)
    assert (results[2].face - alone.face).abs().max() > 1e-3


@pytest.mark.slow
def test_without_cfa_and_kalman_frames_are_independent(clip: Tensor) -> None:
    network = tiny_network(kalman=False, cfa=False)
    results = run(network, clip[:, :3])
    assert torch.equal(results[2].face, run(network, clip[:, 2:3])[0].face)
    assert results[2].state.caches == {}


def test_every_part_of_the_small_network_matters(tiny: Keep, clip: Tensor) -> None:
    """Else agreement on it would prove nothing."""
    results = run(tiny, clip)
    gains = torch.stack([result.gain for result in results[1:] if result.gain is not None])
    flows = torch.stack([result.flow for result in results[1:] if result.flow is not None])
    assert gains.std() > 0.03
    assert flows.abs().mean() > 0.5
    assert all(len(result.codes.unique()) > 10 for result in results)
    assert 0.05 < results[-1].face.std() < 5
    assert len({tuple(result.codes.flatten().tolist()) for result in results}) == len(results)
