"""The NumPy warp against PyTorch's grid_sample, unfold and softmax, and the golden vectors."""

import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from keeprt.engine.errors import UsageError
from keeprt.kernels.arrays import FloatArray
from keeprt.kernels.warp_by_flow import backward_warp, upsample_flow, warp_by_flow

GOLDENS = Path(__file__).parents[1] / "data" / "goldens"


def torch_upsample(flow: FloatArray, mask: FloatArray) -> FloatArray:
    """docs/model.md, section 12.6, spelled with unfold and softmax, in float64."""
    batch, _, rows, columns = flow.shape
    weights = torch.from_numpy(mask).double().view(batch, 1, 9, 8, 8, rows, columns).softmax(2)
    cells = F.unfold(8 * torch.from_numpy(flow).double(), 3, padding=1)
    cells = cells.view(batch, 2, 9, 1, 1, rows, columns)
    full = (weights * cells).sum(2).permute(0, 1, 4, 2, 5, 3)
    return full.reshape(batch, 2, 8 * rows, 8 * columns).float().numpy()


def torch_warp(image: FloatArray, flow: FloatArray) -> FloatArray:
    height, width = image.shape[2:]
    offset = torch.from_numpy(flow)
    u = 2 * (torch.arange(width).float() + offset[:, 0]) / (width - 1) - 1
    v = 2 * (torch.arange(height).float()[:, None] + offset[:, 1]) / (height - 1) - 1
    grid = torch.stack((u, v), dim=-1)
    sampled = F.grid_sample(torch.from_numpy(image), grid, padding_mode="zeros", align_corners=True)
    return sampled.numpy()


def case(
    seed: int, batch: int = 1, rows: int = 4, columns: int = 6, reach: float = 1.0
) -> tuple[FloatArray, FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    shapes = (
        (batch, 3, rows * 8, columns * 8),
        (batch, 2, rows, columns),
        (batch, 576, rows, columns),
    )
    image, flow, mask = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    return image, flow * np.float32(reach), mask * np.float32(3)


@pytest.mark.parametrize("rows, columns", [(1, 1), (1, 5), (4, 6), (7, 3), (64, 64)])
def test_upsampling_is_the_softmax_over_unfolded_neighbours(rows: int, columns: int) -> None:
    _, flow, mask = case(rows, 2, rows, columns)
    np.testing.assert_allclose(upsample_flow(flow, mask), torch_upsample(flow, mask), atol=1e-5)


@pytest.mark.parametrize("reach", [0.05, 1.0, 20.0])
def test_warp_is_grid_sample(reach: float) -> None:
    image, flow, mask = case(3, 2, 5, 7, reach)
    full = upsample_flow(flow, mask)
    np.testing.assert_allclose(backward_warp(image, full), torch_warp(image, full), atol=1e-6)


@pytest.mark.parametrize("height, width", [(2, 2), (3, 9), (17, 5), (130, 301)])
def test_warp_of_odd_sizes_is_grid_sample(height: int, width: int) -> None:
    rng = np.random.default_rng(height)
    image = rng.standard_normal((1, 4, height, width)).astype(np.float32)
    flow = (rng.standard_normal((1, 2, height, width)) * 3).astype(np.float32)
    np.testing.assert_allclose(backward_warp(image, flow), torch_warp(image, flow), atol=1e-6)


def test_warp_matches_the_golden_vector() -> None:
    with np.load(GOLDENS / "warp.npz") as golden:
        warped = backward_warp(golden["x"], golden["flow"])
        np.testing.assert_allclose(warped, golden["out"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("rows, columns", [(1, 2), (9, 5), (33, 70)])
def test_fused_warp_is_bit_for_bit_its_two_halves(rows: int, columns: int) -> None:
    image, flow, mask = case(11, 2, rows, columns)
    halves = backward_warp(image, upsample_flow(flow, mask))
    np.testing.assert_array_equal(warp_by_flow(image, flow, mask), halves)


def test_zero_flow_returns_the_picture() -> None:
    image, flow, mask = case(1)
    np.testing.assert_allclose(warp_by_flow(image, flow * 0, mask), image, atol=1e-4)


def test_flow_of_whole_pixels_shifts_and_fills_with_zeros() -> None:
    image = case(1)[0]
    full = np.zeros((1, 2, *image.shape[2:]), np.float32)
    full[:, 0], full[:, 1] = 5, -3
    expected = np.zeros_like(image)
    expected[:, :, 3:, :-5] = image[:, :, :-3, 5:]
    np.testing.assert_allclose(backward_warp(image, full), expected, atol=1e-4)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("damage", [np.nan, np.inf, -np.inf, 1e30, -1e30, 3e9, 1e5])
@pytest.mark.parametrize("axis", [0, 1])
def test_flow_that_is_no_place_counts_as_outside(damage: float, axis: int) -> None:
    image = np.ones((1, 3, 16, 16), np.float32)
    flow = np.zeros((1, 2, 16, 16), np.float32)
    flow[0, axis, 4, 7] = damage
    warped = backward_warp(image, flow)
    assert (warped[0, :, 4, 7] == 0).all()
    warped[0, :, 4, 7] = 1
    np.testing.assert_allclose(warped, 1, atol=1e-5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("damage", [np.nan, np.inf])
def test_damaged_mask_spoils_its_own_pixel_only(damage: float) -> None:
    image, flow, mask = case(2)
    clean = warp_by_flow(image, flow, mask)
    mask[0, 4 * 64 + 3 * 8 + 5, 2, 1] = damage
    warped = warp_by_flow(image, flow, mask)
    assert (warped[0, :, 2 * 8 + 3, 8 + 5] == 0).all()
    assert (warped != clean).any(axis=(0, 1)).sum() == 1


def test_batch_rows_do_not_see_each_other() -> None:
    image, flow, mask = case(5, batch=3)
    together = warp_by_flow(image, flow, mask)
    for item in range(3):
        one = slice(item, item + 1)
        np.testing.assert_array_equal(warp_by_flow(image[one], flow[one], mask[one]), together[one])


def test_given_output_is_written_and_returned() -> None:
    image, flow, mask = case(6)
    out = np.full_like(image, np.nan)
    assert warp_by_flow(image, flow, mask, out) is out
    np.testing.assert_array_equal(out, warp_by_flow(image, flow, mask))


def test_steady_state_allocates_no_frame() -> None:
    image, flow, mask = case(7, 1, 32, 32)
    out = np.empty_like(image)
    warp_by_flow(image, flow, mask, out)
    tracemalloc.start()
    try:
        warp_by_flow(image, flow, mask, out)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < image.nbytes / 8


def test_threads_do_not_share_scratch() -> None:
    cases = [case(seed, 1, 16, 16) for seed in range(4)]
    alone = [warp_by_flow(*arrays) for arrays in cases]
    wrong: list[int] = []

    def work(number: int) -> None:
        again = [warp_by_flow(*cases[number]) for _ in range(8)]
        wrong.extend(number for warped in again if not np.array_equal(warped, alone[number]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_wrong_arguments_are_named() -> None:
    image, flow, mask = case(8)
    with pytest.raises(UsageError, match="mask is float32 of shape"):
        warp_by_flow(image, flow, mask[:, :64])
    with pytest.raises(UsageError, match="previous is float64"):
        warp_by_flow(image.astype(np.float64), flow, mask)
    with pytest.raises(UsageError, match="out must be C-contiguous"):
        warp_by_flow(image, flow, mask, image)
    with pytest.raises(UsageError, match="flow has shape"):
        warp_by_flow(image, flow[0], mask)
