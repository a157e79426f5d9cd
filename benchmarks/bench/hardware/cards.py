"""Roofline floors of cards that are not here, from their datasheets: predictions, no measurement.

Rates are dense (no sparsity), at the boost clock. Those of the tensor cores are with float32
accumulation, which a GeForce card does at half the rate with float16 accumulation; where a sheet
gives only the rate with sparsity, half of it is taken. 0 stands for what a card has not, or its
sheet does not say. `fp32` is the rate of the plain cores, for TF32 is off in keeprt.
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
    tf32_tflop_s: float = 0.0
    fp8_tflop_s: float = 0.0

    def rate(self, kind: str) -> float:
        """TFLOP/s of products computed in a type."""
        rates = {
            "float32": self.fp32_tflop_s,
            "tf32": self.tf32_tflop_s,
            "float8": self.fp8_tflop_s,
        }
        return rates.get(kind, self.fp16_tflop_s)


ADA = "NVIDIA Ada GPU Architecture whitepaper v2"
ORIN = "NVIDIA Jetson AGX Orin technical brief (170 INT8 sparse)"
THOR = "NVIDIA Jetson Thor datasheet (517 FP8 dense; fp16: half)"
CARDS = {
    card.name: card
    for card in (
        DatasheetCard("T4", 65, 8.1, 300, "NVIDIA T4 datasheet"),
        DatasheetCard("RTX A2000", 31.95, 8.0, 288, "NVIDIA RTX A2000 datasheet (63.9 sparse)"),
        DatasheetCard("RTX 3090", 71, 35.6, 936, "NVIDIA Ampere GA102 whitepaper", 35.6),
        DatasheetCard("A10", 125, 31.2, 600, "NVIDIA A10 datasheet", 62.5),
        DatasheetCard("A100 SXM", 312, 19.5, 2039, "NVIDIA A100 80GB datasheet", 156),
        DatasheetCard("Orin", 42.5, 5.3, 204.8, ORIN),
        DatasheetCard("L4", 121, 30.3, 300, "NVIDIA L4 datasheet (242 sparse)", 60, 242.5),
        DatasheetCard("L40S", 362.05, 91.6, 864, "NVIDIA L40S datasheet", 183, 733),
        DatasheetCard("RTX 4090", 165.2, 82.6, 1008, ADA, 82.6, 330.3),
        DatasheetCard(
            "RTX 6000 Ada",
            364.25,
            91.1,
            960,
            "NVIDIA RTX 6000 Ada datasheet (1457 FP8)",
            fp8_tflop_s=728.5,
        ),
        DatasheetCard(
            "RTX 5090", 209.5, 104.8, 1792, "NVIDIA RTX Blackwell whitepaper", 104.8, 419
        ),
        DatasheetCard(
            "RTX PRO 6000",
            500,
            125,
            1792,
            "NVIDIA RTX PRO 6000 Blackwell datasheet (4000 FP4 sparse: an eighth)",
            fp8_tflop_s=1000,
        ),
        DatasheetCard("Thor", 258.5, 8.06, 273, THOR, fp8_tflop_s=517),
        DatasheetCard(
            "H100 PCIe", 756.5, 51, 2000, "NVIDIA H100 datasheet (1513 sparse)", 378, 1513
        ),
        DatasheetCard(
            "H100 SXM", 989.5, 67, 3350, "NVIDIA H100 datasheet (1979 sparse)", 494.5, 1979
        ),
        DatasheetCard(
            "B200",
            2250,
            75,
            8000,
            "NVIDIA DGX B200 datasheet (8 cards: 72 PFLOP/s FP8 sparse)",
            1125,
            4500,
        ),
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


#: What a float32 bundle could be instead: the words, the type, and its bytes by float32's.
OTHER_TYPES = (
    ("if all were TF32", "tf32", 1.0),
    ("if all were fp16", "float16", 0.5),
    ("if all were fp8", "float8", 0.25),
)


def all_in(cost: StageCost, kind: str, byte_share: float) -> StageCost:
    """A float32 stage as if every product were of that type, and every byte fewer."""
    return StageCost(
        cost.stage,
        {kind: cost.total_flop},
        cost.must_move_bytes * byte_share,
        cost.unfused_bytes * byte_share,
    )


def _floor(card: DatasheetCard, cost: StageCost) -> StageFloor:
    compute_s = sum(flop / (card.rate(kind) * 1e12) for kind, flop in cost.flop.items())
    memory_s = cost.must_move_bytes / (card.gb_s * 1e9)
    bound_by = "arithmetic" if compute_s >= memory_s else "memory"
    return StageFloor(cost.stage, 1e3 * max(compute_s, memory_s), bound_by)
