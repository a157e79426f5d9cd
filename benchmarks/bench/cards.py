"""Roofline floors of cards that are not here, from their datasheets: predictions, no measurement.

Rates are dense (no sparsity), at the boost clock. `fp16` is the tensor cores' rate with float32
accumulation, which a GeForce card does at half the rate with float16 accumulation; where a sheet
gives only the rate with sparsity, half of it is taken. `fp32` is the rate of the plain cores, for
TF32 is off in keeprt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keeprt.benchmarks.bench.cost import StageCost
from keeprt.engine.errors import UsageError


@dataclass(frozen=True)
class DatasheetCard:
    """Peak rates in TFLOP/s and GB/s, and the sheet that states them."""

    name: str
    fp16_tflop_s: float
    fp32_tflop_s: float
    gb_s: float
    source: str


ADA = "NVIDIA Ada GPU Architecture whitepaper v2"
CARDS = {
    card.name: card
    for card in (
        DatasheetCard("RTX A2000", 31.95, 8.0, 288, "NVIDIA RTX A2000 datasheet (63.9 sparse)"),
        DatasheetCard("A10", 125, 31.2, 600, "NVIDIA A10 datasheet"),
        DatasheetCard("L4", 121, 30.3, 300, "NVIDIA L4 datasheet (242 sparse)"),
        DatasheetCard("L40S", 362.05, 91.6, 864, "NVIDIA L40S datasheet"),
        DatasheetCard("RTX 4090", 165.2, 82.6, 1008, ADA),
        DatasheetCard(
            "RTX 6000 Ada", 364.25, 91.1, 960, "NVIDIA RTX 6000 Ada datasheet (1457 FP8)"
        ),
        DatasheetCard("RTX 5090", 209.5, 104.8, 1792, "NVIDIA RTX Blackwell whitepaper"),
        DatasheetCard("H100 PCIe", 756.5, 51, 2000, "NVIDIA H100 datasheet (1513 sparse)"),
        DatasheetCard("H100 SXM", 989.5, 67, 3350, "NVIDIA H100 datasheet (1979 sparse)"),
    )
}


@dataclass(frozen=True)
class StageFloor:
    """The least milliseconds of a stage by the sheet, and what sets them."""

    stage: str
    ms: float
    bound_by: str


@dataclass(frozen=True)
class Prediction:
    """Floors of one frame on one card, stage after stage; `precision` says in which types."""

    card: DatasheetCard
    precision: str
    stages: tuple[StageFloor, ...]

    @property
    def frame_ms(self) -> float:
        """The sum of the stages' floors: no frame can be faster unless stages overlap."""
        return sum(stage.ms for stage in self.stages)


def card_named(name: str) -> DatasheetCard:
    """The card of that name, in any case. Raises UsageError with the list."""
    for known, card in CARDS.items():
        if known.lower() == name.strip().lower():
            return card
    raise UsageError(f"no datasheet of {name!r}; there are: {', '.join(CARDS)}")


def predict(card: DatasheetCard, costs: Mapping[str, StageCost], precision: str) -> Prediction:
    """Floors in the types of the bundle's own graphs."""
    return Prediction(card, precision, tuple(_floor(card, cost) for cost in costs.values()))


def all_in_float16(cost: StageCost) -> StageCost:
    """A float32 stage as if every product and every byte were float16: what half could give."""
    return StageCost(
        cost.stage, {"float16": cost.total_flop}, cost.must_move_bytes / 2, cost.unfused_bytes / 2
    )


def _floor(card: DatasheetCard, cost: StageCost) -> StageFloor:
    rate = {"float32": card.fp32_tflop_s}
    compute_s = sum(
        flop / (rate.get(kind, card.fp16_tflop_s) * 1e12) for kind, flop in cost.flop.items()
    )
    memory_s = cost.must_move_bytes / (card.gb_s * 1e9)
    bound_by = "arithmetic" if compute_s >= memory_s else "memory"
    return StageFloor(cost.stage, 1e3 * max(compute_s, memory_s), bound_by)
