"""Synthetic weights: the published check values, independence of order, other configurations."""

import numpy as np
import pytest

from keeprt.export.weights.load import checkpoint_digest, load_checkpoint, published_manifest
from keeprt.export.weights.synthetic import synthetic_tensor, synthetic_tensors

SHAPES = dict(published_manifest())
DIGESTS = {
    1: "a1069e697e25f41f2ec6c96449e61816664c8217c58e85f5e40db7b5339bcc44",
    7: "2f4e43874fcaa7753a4a6ac87f610c8aa91f993486ae49150c5db05c0d721b31",
}


def released(name: str, seed: int = 1) -> np.ndarray:
    return synthetic_tensor(name, SHAPES[name], seed)


def test_the_released_network_has_its_tensors_and_values() -> None:
    assert len(SHAPES) == 896
    assert sum(int(np.prod(shape)) for shape in SHAPES.values()) == 158_485_860


def test_check_values_of_seed_1() -> None:
    position = released("position_emb")
    assert position.dtype == np.float32
    np.testing.assert_allclose(
        position.ravel()[:3], [6.878800e-01, -1.412684e00, -9.905062e-01], rtol=1e-6
    )
    assert position.sum(dtype=np.float64) == pytest.approx(560.76532, abs=1e-5)
    norm = released("encoder.blocks.24.weight")
    np.testing.assert_allclose(
        norm.ravel()[:3], [6.272122e-03, -3.834970e-03, 3.689971e-03], rtol=1e-6
    )
    assert np.abs(norm).sum(dtype=np.float64) == pytest.approx(13876.4013, abs=1e-4)
    keys = released("flownet.model.feature_flow_attn.k_proj.weight")
    assert keys.sum(dtype=np.float64) == pytest.approx(134.07250, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", DIGESTS)
def test_digest_of_all_tensors(seed: int) -> None:
    assert checkpoint_digest(load_checkpoint(f"synthetic:{seed}")) == DIGESTS[seed]


def test_a_tensor_is_the_same_alone_and_in_any_order() -> None:
    manifest = list(SHAPES.items())[:40]
    forward = synthetic_tensors(manifest, 3)
    backward = synthetic_tensors(manifest[::-1], 3)
    assert list(forward) == [name for name, _ in manifest]
    for name, shape in manifest:
        alone = synthetic_tensor(name, shape, 3)
        np.testing.assert_array_equal(forward[name], alone)
        np.testing.assert_array_equal(backward[name], alone)


def test_seed_and_name_change_the_values() -> None:
    name, shape = "generator.blocks.3.conv1.weight", (8, 8, 3, 3)
    weights = synthetic_tensor(name, shape, 1)
    assert not np.array_equal(weights, synthetic_tensor(name, shape, 2))
    assert not np.array_equal(
        weights, synthetic_tensor("generator.blocks.4.conv1.weight", shape, 1)
    )


def test_rows_of_most_weights_sum_to_nothing() -> None:
    rows = synthetic_tensor("ft_layers.0.linear1.weight", (16, 64), 1).sum(axis=1)
    np.testing.assert_allclose(rows, 0.0, atol=1e-3)
    raw = synthetic_tensor("encoder.blocks.0.weight", (16, 3, 3, 3), 1).reshape(16, -1).sum(axis=1)
    assert np.abs(raw).max() > 0.1


def test_a_smaller_network_gets_scales_near_one_and_small_convolutions() -> None:
    """Its last normalisation is not block 23, and its block 23 may be a convolution."""
    scale = synthetic_tensor("encoder.blocks.11.weight", (32,), 1)
    assert scale.mean() == pytest.approx(1.0, abs=0.1)
    convolution = synthetic_tensor("generator.blocks.23.weight", (32, 32, 3, 3), 1)
    assert convolution.std() == pytest.approx(1 / np.sqrt(32 * 9), rel=0.1)
    assert abs(convolution.mean()) < 1e-3
