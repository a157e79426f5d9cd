"""Floors: of this machine from its measured rates, and of cards from their sheets."""

from __future__ import annotations

from pathlib import Path

import pytest

from keeprt.benchmarks.bench.cost import StageCost
from keeprt.benchmarks.bench.hardware import rates as rates_module
from keeprt.benchmarks.bench.hardware.cards import CARDS, DatasheetCard, all_in, card_named, predict
from keeprt.benchmarks.bench.hardware.rates import RateMeter, Rates, best_rates, rates_in_words
from keeprt.benchmarks.bench.harness import Run
from keeprt.benchmarks.bench.predictions import predictions
from keeprt.benchmarks.bench.results import contender_result
from keeprt.benchmarks.bench.rivals.contenders import Case
from keeprt.benchmarks.bench.rivals.worker import Sample
from keeprt.engine.errors import UsageError

ARITHMETIC = StageCost("decoder", {"float32": 4e9}, 1e6, 2e6)
TRAFFIC = StageCost("warp", {}, 8e6, 8e6)


def test_the_floor_is_the_slower_of_arithmetic_and_traffic() -> None:
    machine = Rates(gflop_s=100, gb_s=10)
    assert machine.floor_s({"float32": 4e9}, 1e6) == pytest.approx(0.040)
    assert machine.floor_s({"float32": 1e6}, 8e6) == pytest.approx(0.0008)


def test_physics_of_a_run_by_hand() -> None:
    """Half a second for 4 GFLOP and 1 MB on a machine of 100 GFLOP/s and 10 GB/s."""
    samples = [Sample(0.6, {"decoder": 0.5, "warp": 0.08}, 1)]
    run = Run("keeprt", rounds=[samples])
    costs = {"decoder": ARITHMETIC, "warp": TRAFFIC}
    result = contender_result(run, Case("stream", 1, 8, 20), costs, Rates(100, 10))
    decoder, warp, between = result.stages
    assert decoder.physics is not None and warp.physics is not None and between.physics is None
    assert decoder.physics.gflop_s == pytest.approx(8)
    assert decoder.physics.gb_s == pytest.approx(0.002)
    assert decoder.physics.flop_per_byte == pytest.approx(4000)
    assert decoder.physics.floor_ms == pytest.approx(40)
    assert decoder.physics.times_floor == pytest.approx(12.5)
    assert warp.physics.floor_ms == pytest.approx(0.8)
    assert result.whole is not None
    assert result.whole.floor_ms == pytest.approx(40.8)
    assert result.whole.times_floor == pytest.approx(600 / 40.8)


def test_what_the_reference_has_as_one_stage_has_the_work_of_both() -> None:
    costs = {name: StageCost(name, {"float32": 1e9}, 1e6, 1e6)
             for name in ("flow_features", "flow_matching")}  # fmt: skip
    run = Run("eager", rounds=[[Sample(0.5, {"flow": 0.5}, 1)]])
    result = contender_result(run, Case("stream", 1, 8, 20), costs, Rates(100, 10))
    flow = result.stages[0].physics
    assert flow is not None and flow.gflop == 2 and flow.must_move_mb == 2


def test_a_clips_frame_is_a_share_of_its_call() -> None:
    run = Run("keeprt", rounds=[[Sample(2.0, {"decoder": 1.6}, 1)]])
    result = contender_result(run, Case("clip", 1, 8, 4), {"decoder": ARITHMETIC}, Rates(100, 10))
    assert result.call_ms is not None and result.frame_ms is not None
    assert (result.call_ms.p50, result.frame_ms.p50) == pytest.approx((2000, 500))
    assert result.stages[0].ms.p50 == pytest.approx(400)
    assert result.faces_per_s == pytest.approx(2)


def test_rates_are_measured_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates_module, "MATRIX_SIZE", 128)
    monkeypatch.setattr(rates_module, "COPY_BYTES", 1 << 20)
    meter = RateMeter(threads=2)
    found = [meter.measure(), meter.measure()]
    meter.close()
    assert meter.measured == found
    assert all(rates.gflop_s > 0 and rates.gb_s > 0 for rates in found)
    seen = [Rates(1, 30), Rates(5, 10), Rates(2, 20)]
    assert best_rates(seen) == Rates(5, 30)
    assert rates_in_words(seen).startswith("matrix products 5 GFLOP/s (float32), copies 30.0 GB/s")
    assert "best of 3" in rates_in_words(seen) and "1 to 5 GFLOP/s" in rates_in_words(seen)


def test_rates_count_both_ways_of_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock on which everything takes a second: 2 n^3 FLOP, and bytes read and written."""
    monkeypatch.setattr(rates_module, "MATRIX_SIZE", 100)
    monkeypatch.setattr(rates_module, "COPY_BYTES", 8 * 1000)
    monkeypatch.setattr(rates_module, "_seconds", lambda work: 1.0)
    meter = RateMeter(threads=1)
    assert meter.measure() == Rates(2e6 / 1e9, 2 * 8000 / 1e9)
    meter.close()


def test_a_cards_floor_by_hand() -> None:
    card = card_named("rtx 4090")
    mixed = StageCost("decoder", {"float16": 165.2e9, "float32": 82.6e9}, 1e6, 1e6)
    found = predict(card, {"decoder": mixed, "warp": TRAFFIC}, "mixed")
    decoder, warp = found.stages
    assert (decoder.ms, decoder.bound_by) == (pytest.approx(2.0), "arithmetic")
    assert (warp.ms, warp.bound_by) == (pytest.approx(8e6 / 1008e9 * 1e3), "memory")
    assert found.frame_ms == pytest.approx(decoder.ms + warp.ms)


def test_half_of_a_float32_stage_is_half_the_bytes_at_the_tensor_rate() -> None:
    half = all_in(ARITHMETIC, "float16", 0.5)
    assert half.flop == {"float16": 4e9}
    assert (half.must_move_bytes, half.unfused_bytes) == (5e5, 1e6)


@pytest.mark.parametrize(
    ("name", "tensor_cores", "boost_ghz", "share"),
    [
        # Products of 128 pairs per core and cycle; a GeForce card accumulates in float32 at half.
        ("T4", 320, 1.590, 0.5),  # Turing: 64 pairs a cycle
        ("RTX 3090", 328, 1.695, 0.5),
        ("A100 SXM", 432, 1.410, 2.0),  # 256 pairs a cycle
        ("Orin", 64, 1.300, 2.0),
        ("RTX PRO 6000", 752, 2.617, 1.0),
        ("RTX A2000", 104, 1.200, 1.0),
        ("A10", 288, 1.695, 1.0),
        ("L4", 240, 2.040, 1.0),
        ("L40S", 568, 2.520, 1.0),
        ("RTX 4090", 512, 2.520, 0.5),
        ("RTX 6000 Ada", 568, 2.505, 1.0),
        ("RTX 5090", 680, 2.407, 0.5),
    ],
)
def test_tensor_rates_are_dense_ones_with_float32_accumulation(
    name: str, tensor_cores: int, boost_ghz: float, share: float
) -> None:
    by_clock = tensor_cores * 128 * 2 * boost_ghz / 1e3 * share
    assert CARDS[name].fp16_tflop_s == pytest.approx(by_clock, rel=0.04)


def test_unknown_cards_are_refused_with_the_list(tiny_bundle: Path) -> None:
    with pytest.raises(UsageError, match=r"no datasheet of 'RTX 9999'; there are: T4, RTX A2000"):
        predictions(tiny_bundle, "L4,RTX 9999", 8)


def test_predictions_are_in_the_types_that_a_card_has(tiny_bundle: Path) -> None:
    found = predictions(tiny_bundle, "T4,RTX 3090,H100 SXM", 8)
    assert [(one.card.name, one.precision) for one in found] == [
        ("T4", "fp32"),
        ("T4", "if all were fp16"),
        ("RTX 3090", "fp32"),
        ("RTX 3090", "if all were TF32"),
        ("RTX 3090", "if all were fp16"),
        ("H100 SXM", "fp32"),
        ("H100 SXM", "if all were TF32"),
        ("H100 SXM", "if all were fp16"),
        ("H100 SXM", "if all were fp8"),
    ]
    fp32, tf32, fp16, fp8 = (one.frame_ms for one in found[-4:])
    assert fp8 < fp16 < tf32 < fp32


@pytest.mark.parametrize("card", CARDS.values(), ids=lambda card: card.name)
def test_narrower_types_are_faster_by_the_sheet(card: DatasheetCard) -> None:
    assert card.fp16_tflop_s > card.fp32_tflop_s and card.source
    for rate, ratio in ((card.tf32_tflop_s, 0.5), (card.fp8_tflop_s, 2.0)):
        assert not rate or rate == pytest.approx(ratio * card.fp16_tflop_s, rel=0.02)
