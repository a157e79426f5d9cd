"""`--predict`: the floors of a bundle's frame on cards that are not here."""

from __future__ import annotations

from pathlib import Path

from keeprt.benchmarks.bench.cost import stream_costs
from keeprt.benchmarks.bench.hardware.cards import (
    CARDS,
    OTHER_TYPES,
    Prediction,
    all_in,
    card_named,
    predict,
)
from keeprt.engine.bundle.load import load_bundle


def predictions(path: Path, cards: str, window: int) -> list[Prediction]:
    """Floors of one steady frame of one face, in the bundle's types and, for float32, in
    those that a card has beside it.

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
        for words, kind, bytes_ in OTHER_TYPES if precision == "fp32" else ():
            if card.rate(kind):
                other = {name: all_in(cost, kind, bytes_) for name, cost in costs.items()}
                found.append(predict(card, other, words))
    return found
