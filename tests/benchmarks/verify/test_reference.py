"""The reference frame by frame is the network's own run, and memory does not grow with it."""

from __future__ import annotations

import gc
from itertools import pairwise

import numpy as np
import pytest
import torch

from keeprt.benchmarks.verify.measuring.reference import ReferenceFrame, SteppedReference
from keeprt.engine.bundle.load import load_bundle
from keeprt.engine.state import FaceState, state_shapes
from keeprt.export.model import Keep
from keeprt.export.reference import to_tensor
from tests.networks import faces

FRAMES, WINDOW, CHUNK = 7, 4, 3


def stepped(network: Keep, window: int | None, frames: int = FRAMES) -> list[ReferenceFrame]:
    reference, pictures = SteppedReference(network, window), faces(frames)
    size = CHUNK if window is None else 1
    return [
        frame
        for first in range(0, frames, size)
        for frame in reference.restore(pictures[first : first + size])
    ]


@pytest.mark.slow
@pytest.mark.parametrize("fixture", ["tiny", "tiny_without_kalman", "tiny_without_cfa"])
@pytest.mark.parametrize("window", [None, WINDOW])
def test_stepping_is_the_networks_own_run(
    fixture: str, window: int | None, request: pytest.FixtureRequest
) -> None:
    network: Keep = request.getfixturevalue(fixture)
    clip = torch.stack([to_tensor(face) for face in faces(FRAMES)])[None]
    with torch.inference_mode():
        if window is None:
            chunks = [clip[:, i : i + CHUNK] for i in range(0, FRAMES, CHUNK)]
            expected = [result for chunk in chunks for result in network.run(chunk)]
        else:
            expected = list(network.run(clip, window))
    for frame, result in zip(stepped(network, window), expected, strict=True):
        decoder = frame.outputs["decoder"]
        assert np.array_equal(decoder["codes"], result.codes.numpy())
        np.testing.assert_allclose(decoder["restored"], result.face.numpy(), atol=1e-5)
        assert frame.logits_std == pytest.approx(float(result.logits.std()))


def test_states_are_the_runtimes(tiny: Keep, tiny_bundle) -> None:
    """Each frame begins with the state that the one before left, in the runtime's own layout."""
    bundle = load_bundle(tiny_bundle)
    frames = stepped(tiny, WINDOW)
    for frame, following in pairwise(frames):
        left = frame.put_after_into(FaceState.new(bundle, WINDOW))
        found = following.put_into(FaceState.new(bundle, WINDOW))
        assert left.frames == found.frames == following.frames_before
        assert set(frame.after) == set(state_shapes(bundle, WINDOW))
        for name in left.arrays:
            assert np.array_equal(left.arrays[name], found.arrays[name]), name
    latents = [f.outputs["lq_encoder"]["latent"][0] for f in frames]
    seen = frames[-1].after["latents"]
    assert np.array_equal(seen, np.stack([latents[0], *latents[-(WINDOW - 1) :]]))


def test_nothing_is_kept_of_frames_that_are_over(tiny: Keep) -> None:
    reference = SteppedReference(tiny, WINDOW)

    def tensors() -> int:
        gc.collect()
        return sum(type(thing) is torch.Tensor for thing in gc.get_objects())

    counts = []
    for index, face in enumerate(faces(9)):
        list(reference.restore([face]))
        if index in (WINDOW, 8):
            counts.append(tensors())
    assert counts[0] == counts[1]
