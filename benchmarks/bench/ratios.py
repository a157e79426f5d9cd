"""How many times as long one side takes, and how far another repetition could move that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.errors import UsageError

REPLICATES = 1000
CONFIDENCE = 0.95
DRAWN_AT_ONCE = 4_000_000  # values of all replicates together
Rounds = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Ratio:
    """A ratio of medians and the 95 % bootstrap interval around it."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


def ratio_of_medians(ours: Rounds, theirs: Rounds, *, paired: bool, seed: int = 0) -> Ratio:
    """median(ours) / median(theirs) of all calls, with its percentile interval.

    The bootstrap is hierarchical, for calls of one round are not independent: rounds are drawn
    with replacement, then calls within each. `paired`: both sides took turns in the same rounds,
    so that both draw the same ones. B. Efron, R. Tibshirani: An Introduction to the Bootstrap,
    1993. Raises UsageError for no samples.
    """
    a, b = [r for r in ours if len(r)], [r for r in theirs if len(r)]
    if not a or not b:
        raise UsageError("no sample was measured: there is no ratio")
    if paired:
        a, b = a[: min(len(a), len(b))], b[: min(len(a), len(b))]
    value = float(np.median(np.concatenate(a)) / np.median(np.concatenate(b)))
    size = max(sum(map(len, a)), sum(map(len, b)))
    count = int(np.clip(DRAWN_AT_ONCE // size, 100, REPLICATES))
    random = np.random.default_rng(seed)
    rounds = random.integers(len(a), size=(count, len(a)))
    above = _medians(a, rounds, random)
    if not paired:
        rounds = random.integers(len(b), size=(count, len(b)))
    drawn = above / _medians(b, rounds, random)
    low, high = np.quantile(drawn, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return Ratio(value, float(low), float(high))


def _medians(
    samples: Rounds, rounds: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.float64]:
    """The median of each replicate, whose rounds are given."""
    arrays = [np.asarray(one, np.float64) for one in samples]
    if len({len(one) for one in arrays}) == 1:
        table, calls = np.stack(arrays), len(arrays[0])
        drawn = random.integers(calls, size=(*rounds.shape, calls))
        found = table[rounds[..., None], drawn].reshape(len(rounds), -1)
        return np.asarray(np.median(found, axis=1))
    return np.array(
        [
            np.median(np.concatenate([random.choice(arrays[r], len(arrays[r])) for r in chosen]))
            for chosen in rounds
        ]
    )
