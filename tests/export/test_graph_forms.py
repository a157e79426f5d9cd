"""The cheaper upsampling computes the same and leaves the network alone."""

from __future__ import annotations

import pytest
import torch

from keeprt.export.graph_forms import PhasedUpsample, phased
from keeprt.export.model import Keep
from keeprt.export.model.blocks import Upsample
from tests.goldens import relative_l2, to_clip
from tests.networks import faces


@pytest.mark.parametrize("shape", [(1, 8, 4, 4), (3, 8, 5, 7), (2, 8, 1, 1)])
def test_four_small_convolutions_are_doubling_and_a_large_one(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    upsample = Upsample(8)
    x = torch.randn(shape)
    with torch.no_grad():
        expected, actual = upsample(x), PhasedUpsample(upsample)(x)
    assert actual.shape == expected.shape == (*shape[:2], 2 * shape[2], 2 * shape[3])
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_the_network_gives_the_same_faces(tiny: Keep) -> None:
    clip = to_clip(faces(3))
    with torch.no_grad():
        assert relative_l2(phased(tiny)(clip), tiny(clip)) <= 1e-5


def test_the_network_itself_stays_as_it_is(tiny: Keep) -> None:
    before = [type(block) for block in tiny.generator.blocks]
    clone = phased(tiny)
    assert [type(block) for block in tiny.generator.blocks] == before
    kinds = [type(block) for block in clone.generator.blocks]
    assert Upsample not in kinds
    assert kinds.count(PhasedUpsample) == before.count(Upsample) == 3
    assert clone.encoder is tiny.encoder
    shared = [(a, b) for a, b in zip(clone.generator.blocks, tiny.generator.blocks, strict=True)]
    assert all(a is b for a, b in shared if not isinstance(b, Upsample))
