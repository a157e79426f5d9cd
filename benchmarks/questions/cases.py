"""What is restored for which question: a network, a degradation, a clip, a way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from keeprt.benchmarks.demo import SHOWN
from keeprt.benchmarks.evaluate.clips import MADE
from keeprt.benchmarks.evaluate.levels import LEVELS
from keeprt.benchmarks.evaluate.methods import BASELINES, OURS
from keeprt.engine.restorer import DEFAULT_WINDOW
from keeprt.export.training.degradation import Degradation

# movements that no training has seen
SEEDS = (0, 1, 2)
PAPER_LEVELS = tuple(LEVELS)
DEMO_LEVEL = "demo"
# the network that comes along, and the same trained again beside its ablations
SHIPPED, WHOLE = "shipped", "demo"
ABLATIONS = ("without-kalman", "without-cfa")
FLOWS = ("pyramid", "no-flow")
ABLATED_LEVELS = ("mild", "heavy", DEMO_LEVEL)
WINDOWS = (2, 3, 4, 6, 8, 12, 16, 20)


@dataclass(frozen=True)
class Case:
    """One clip restored in one way. level: of LEVELS, or the demo's own degradation."""

    network: str
    level: str
    seed: int
    method: str = "stream"
    window: int = DEFAULT_WINDOW

    @property
    def key(self) -> str:
        """Its name in the JSON file."""
        return f"{self.network}/{self.level}/{self.seed}/{self.method}/{self.window}"

    def degradation(self, size: int) -> Degradation:
        """As `keeprt evaluate` draws it for faces of `size` pixels; the demo's is fixed."""
        if self.level == DEMO_LEVEL:
            return SHOWN
        return LEVELS[self.level].draw(MADE, self.seed, size)


def ways() -> Iterator[Case]:
    """Table 1: every way at the paper's levels."""
    for level in PAPER_LEVELS:
        for method in (*BASELINES, *OURS):
            yield from (Case(SHIPPED, level, seed, method) for seed in SEEDS)


def networks() -> Iterator[Case]:
    """Tables 2 and 3: every network as a stream."""
    for level in ABLATED_LEVELS:
        for name in (SHIPPED, WHOLE, *ABLATIONS, *FLOWS):
            yield from (Case(name, level, seed) for seed in SEEDS)


def windows() -> Iterator[Case]:
    """How far back the gain looks, where the past is worth most."""
    for window in WINDOWS:
        yield from (Case(SHIPPED, DEMO_LEVEL, seed, window=window) for seed in SEEDS)


def all_cases() -> list[Case]:
    """Each once, the dearest question last."""
    return list(dict.fromkeys([*ways(), *windows(), *networks()]))
