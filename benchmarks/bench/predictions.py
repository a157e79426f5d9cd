"""`--predict`: the floors of a bundle's frame on cards that are not here."""

from __future__ import annotations

from pathlib import Path

from keeprt.benchmarks.bench.cards import (
    CARDS,
    Prediction,
    all_in_float16,
    card_named,
    predict,
)
from keeprt.benchmarks.bench.cost import stream_costs
from keeprt.engine.bundle import load_bundle


def predictions(path: Path, cards: str, window: int) -> list[Prediction]:
    """Floors of one steady frame of one face, in the bundle's types and, for float32, in half.

    `cards` are names with commas between, or "all". Raises UsageError for an unknown card,
    BundleError.
    """
    names = list(CARDS) if cards.strip() == "all" else cards.split(",")
    chosen = [card_named(name) for name in names]
    bundle = load_bundle(path)
    costs = stream_costs(bundle, 1, window)
    precision = bundle.manifest.precision
    found = []
    for card in chosen:
        found.append(predict(card, costs, precision))
        if precision == "fp32":
            half = {name: all_in_float16(cost) for name, cost in costs.items()}
            found.append(predict(card, half, "if all were fp16"))
    return found
