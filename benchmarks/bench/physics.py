"""A stage's work, how fast it was done, and the least time that it could take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keeprt.benchmarks.bench.cost import StageCost
from keeprt.benchmarks.bench.hardware.rates import Rates


@dataclass(frozen=True)
class Physics:
    """A stage's work, how fast it was done at the median time, and the least time it could take.

    `floor_ms` is max(FLOP / matrix-product rate, bytes that must move / copy rate); for several
    stages after each other, the sum of theirs.
    """

    gflop: float
    must_move_mb: float
    unfused_mb: float
    gflop_s: float
    gb_s: float
    flop_per_byte: float
    floor_ms: float
    times_floor: float


def physics_of(costs: Sequence[StageCost], ms: float, rates: Rates) -> Physics | None:
    """Of work that took so many milliseconds; None of no work."""
    if not costs or ms <= 0:
        return None
    flop = sum(cost.total_flop for cost in costs)
    moved = sum(cost.must_move_bytes for cost in costs)
    floor_s = sum(rates.floor_s(cost.flop, cost.must_move_bytes) for cost in costs)
    return Physics(
        gflop=flop / 1e9,
        must_move_mb=moved / 1e6,
        unfused_mb=sum(cost.unfused_bytes for cost in costs) / 1e6,
        gflop_s=flop / ms / 1e6,
        gb_s=moved / ms / 1e6,
        flop_per_byte=flop / moved,
        floor_ms=1e3 * floor_s,
        times_floor=ms / (1e3 * floor_s),
    )
