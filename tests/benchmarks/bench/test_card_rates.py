"""Where a card's rates come from: PyTorch on it, or its datasheet.

No card is here: PyTorch measures on the processor, and what a page says of a card is of made rates.
"""

from __future__ import annotations

import io
import json
from datetime import date
from pathlib import Path

import pytest
import torch
from rich.console import Console

from keeprt.benchmarks.bench.cost import StageCost
from keeprt.benchmarks.bench.hardware import card_rates
from keeprt.benchmarks.bench.hardware.card_rates import (
    SheetMeter,
    TorchMeter,
    open_meter,
    sheet_of,
)
from keeprt.benchmarks.bench.hardware.cards import CARDS
from keeprt.benchmarks.bench.hardware.rates import RateMeter, Rates, best_rates, rates_in_words
from keeprt.benchmarks.bench.hardware.watch import Watch
from keeprt.benchmarks.bench.harness import Run
from keeprt.benchmarks.bench.page import bench_report
from keeprt.benchmarks.bench.results import BenchResult, _merged
from keeprt.benchmarks.bench.results_file import read
from keeprt.benchmarks.bench.rivals.contenders import Case
from keeprt.benchmarks.bench.rivals.worker import Sample
from keeprt.benchmarks.bench.run import Options, _Session
from keeprt.benchmarks.bench.tables import bench_tables
from keeprt.benchmarks.report.page import render
from keeprt.engine.bundle.load import load_bundle
from keeprt.engine.errors import BackendError

L4 = "matrix products 30300 GFLOP/s (float32), 121000 GFLOP/s (float16), copies 300.0 GB/s read"
SAID = "stated by the NVIDIA L4 datasheet (242 sparse), not measured here"
CASE = Case("stream", 1, 3, 4)


@pytest.mark.parametrize(
    ("driver", "card"),
    [
        ("Tesla T4", "T4"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("NVIDIA H100 80GB HBM3", "H100 SXM"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA A100-SXM4-80GB", "A100 SXM"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA GeForce RTX 4090 D", None),
        ("NVIDIA A100-PCIE-40GB", None),
        ("NVIDIA H200", None),
        ("none", None),
    ],
)
def test_a_sheet_is_that_of_the_very_card(driver: str, card: str | None) -> None:
    assert sheet_of(driver) == (CARDS[card] if card else None)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a card is here")
def test_without_pytorch_on_the_card_its_sheet_is_taken_and_without_one_no_floor() -> None:
    meter = open_meter(1, 0, "NVIDIA L4")
    assert isinstance(meter, SheetMeter) and meter.of_card
    meter.measure()
    words = rates_in_words([meter.measure()])
    assert words.startswith(L4) and words.endswith(SAID) and len(meter.measured) == 2
    for how in ((1, 0, "NVIDIA H200"), (1, None, "NVIDIA L4")):
        processor = open_meter(*how)
        assert isinstance(processor, RateMeter) and not processor.of_card
        processor.close()


def test_half_products_are_held_to_their_own_rate() -> None:
    rates = Rates(100, 10, 800)
    assert rates.floor_s({"float32": 4e9, "float16": 16e9}, 0) == pytest.approx(0.06)
    assert rates.floor_s({"bfloat16": 16e9}, 1e9) == pytest.approx(0.1)
    assert Rates(100, 10).floor_s({"float16": 16e9}, 0) == pytest.approx(0.16)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card_rates, "MATRIX_SIZE", 128)
    monkeypatch.setattr(card_rates, "COPY_BYTES", 1 << 20)


@pytest.mark.usefixtures("small")
def test_pytorch_measures_products_of_both_types_and_copies() -> None:
    meter = TorchMeter("cpu", "made")
    found = meter.measure()
    assert meter.measured == [meter.measured[0], found] and found.of == "this card (made)"
    assert min(found.gflop_s, found.gb_s, found.half_gflop_s or 0) > 0
    words = rates_in_words([Rates(1, 30, 5, "it"), Rates(5, 10, 9, "it"), Rates(2, 20, 7, "it")])
    assert words == (
        "matrix products 5 GFLOP/s (float32), 9 GFLOP/s (float16), copies 30.0 GB/s read and "
        "written: the best of 3 measured between the rounds, which were 1 to 5 GFLOP/s (float32), "
        "5 to 9 GFLOP/s (float16), 10.0 to 30.0 GB/s"
    )


def test_pytorch_s_rates_count_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock on which everything takes a second: 2 n^3 FLOP, and bytes read and written."""
    monkeypatch.setattr(card_rates, "MATRIX_SIZE", 100)
    monkeypatch.setattr(card_rates, "COPY_BYTES", 4000)
    monkeypatch.setattr(TorchMeter, "_seconds", lambda self, work: work() is None or 1.0)
    assert TorchMeter("cpu", "x").measured == [Rates(2e-3, 8e-6, 2e-3, "this card (x)")]


@pytest.mark.usefixtures("small")
def test_a_card_without_memory_free_keeps_the_sample_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meter = TorchMeter("cpu", "made")

    def full(self: TorchMeter) -> float:
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr(TorchMeter, "_copy_gb_s", full)
    assert meter.measure() is meter.measured[0] and len(meter.measured) == 1
    with pytest.raises(BackendError, match="no memory free"):
        TorchMeter("cpu", "made")


def measured_on(card_used: bool, sheet: str, bundle: Path) -> BenchResult:
    """A run whose times are made, concluded with the rates of a sheet."""
    meter = SheetMeter(CARDS[sheet])
    watch = Watch(card_used=card_used)
    session = _Session(Options(bundle), load_bundle(bundle), print, watch, meter, [])
    meter.measure()
    session.runs = {"keeprt": Run("keeprt", rounds=[[Sample(0.1, {}, 1)]])}
    session.conclude(CASE)
    return session.result(complete=True)


def test_every_page_says_whose_rates_they_are_and_how_they_are_known(tiny_bundle: Path) -> None:
    result = measured_on(True, "L4", tiny_bundle)
    whole = result.cases[0].contenders[0].whole
    assert whole is not None and whole.times_floor == pytest.approx(100 / whole.floor_ms)
    page = render(bench_report(result, date(2030, 1, 2)))
    assert f"This card (L4): {L4}" in page and SAID in page
    assert "of this card (L4), by its datasheet" in page
    assert page.count("this card (L4), by its datasheet, float16") >= 1, "a roof for each type"
    console = Console(width=300, file=io.StringIO())
    for table in bench_tables(result):
        console.print(table)
    printed = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert "keeprt against this card (L4)" in printed and SAID in printed


def test_rates_of_a_processor_are_no_floors_of_a_card(tiny_bundle: Path) -> None:
    """And a card's are none of a processor."""
    found = measured_on(False, "L4", tiny_bundle).cases[0].contenders[0]
    assert found.whole is None


def test_rates_come_back_from_their_file(tiny_bundle: Path) -> None:
    result = measured_on(True, "L4", tiny_bundle)
    rates = json.loads(result.to_json())["result"]["cases"][0]["rates"]
    assert read(Rates, rates) == best_rates(result.cases[0].rate_samples)
    old = {name: rates[name] for name in ("gflop_s", "gb_s")}
    assert read(Rates, old) == Rates(30300, 300)


def test_two_stages_as_one_have_the_work_of_both_by_type() -> None:
    work = {"flow_features": {"float16": 1e9}, "flow_matching": {"float16": 1e9, "float32": 2e9}}
    costs = {name: StageCost(name, flop, 1, 1) for name, flop in work.items()}
    assert _merged(costs, {"flow": 1.0})["flow"].flop == {"float16": 2e9, "float32": 2e9}
