"""Whether `keeprt bench --baseline` can be believed on this machine: equal runs, and slowed ones.

    python -m keeprt.benchmarks.gate_trial bundle --tries 10

Each try measures the bundle three times: a baseline, the same again, and with a sleep of a tenth of
the median frame injected into every call. The gate must pass the second and stop the third.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from keeprt.benchmarks.bench.comparison import Comparison, compare
from keeprt.benchmarks.bench.hardware import rates
from keeprt.benchmarks.bench.results import BenchResult
from keeprt.benchmarks.bench.run import Options, run_bench

SLOWER = 0.10


def trial(options: Options) -> tuple[Comparison, Comparison, BenchResult]:
    """The equal run and the slowed one, each against the same baseline, which comes last."""
    before = run_bench(options)
    again = run_bench(options)
    ours = before.cases[0].contenders[0].call_ms
    assert ours is not None
    slowed = run_bench(replace(options, delay_s=SLOWER * ours.p50 / 1e3))
    return compare(again, before), compare(slowed, before), before


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a row for each try, and how many came out right."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--frames", type=int, default=8)
    asked = parser.parse_args(arguments)
    # the processor's rates are measured between the rounds, and not looked at here
    rates.MATRIX_SIZE, rates.COPY_BYTES = 256, 4 << 20
    options = Options(asked.bundle, rounds=asked.rounds, frames=asked.frames, window=3, threads=1)
    console, right = Console(), [0, 0]
    table = Table("try", "other load, cores", "equal", "as measured", "slowed", "as measured")
    for number in range(asked.tries):
        equal, slowed, before = trial(options)
        right[0] += not equal.worse
        right[1] += bool(slowed.worse)
        found = (equal.changes[0], slowed.changes[0])
        cells = [cell for one in found for cell in (str(one.time), f"{one.raw:.3f}")]
        load = before.load.mean if before.load else 0.0
        table.add_row(str(number + 1), f"{load:.2f}", *cells)
        console.print(f"try {number + 1}: {equal.headline()}; slowed: {slowed.headline()}")
    console.print(table)
    console.print(f"equal runs passed: {right[0]} of {asked.tries}")
    console.print(f"slowed runs stopped: {right[1]} of {asked.tries}")


if __name__ == "__main__":
    main()
