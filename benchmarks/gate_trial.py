"""Whether `keeprt bench --baseline` can be believed on this machine: equal runs, and slowed ones.

    python -m keeprt.benchmarks.gate_trial bundle --tries 10

Each try measures the bundle three times: a baseline, the same again, and with a sleep of a tenth of
the median frame injected into every call. The gate must pass the second and stop the third. The
median leaves out the time in which the thread had no core: other load makes the sleep no longer.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from keeprt.benchmarks.bench.comparison import Comparison, compare
from keeprt.benchmarks.bench.hardware import rates
from keeprt.benchmarks.bench.hardware.load import net_rounds
from keeprt.benchmarks.bench.results import BenchResult
from keeprt.benchmarks.bench.run import Options, run_bench

SLOWER = 0.10


@dataclass(frozen=True)
class Trial:
    """The equal run and the slowed one, each against the same baseline; other load in the three."""

    equal: Comparison
    slowed: Comparison
    load: float


def trial(options: Options) -> Trial:
    """Three runs after each other."""
    before = run_bench(options)
    again = run_bench(options)
    slowed = run_bench(replace(options, delay_s=SLOWER * net_median_s(before)))
    loads = [run.load.mean for run in (before, again, slowed) if run.load]
    return Trial(compare(again, before), compare(slowed, before), float(np.mean(loads)))


def net_median_s(result: BenchResult) -> float:
    """The engine's median call without its waiting for a core."""
    ours = result.cases[0].contenders[0]
    calls = net_rounds(ours.rounds_ms, ours.rounds_waited_ms, ())
    return float(np.median(np.concatenate(calls))) / 1e3


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
        tried = trial(options)
        right[0] += not tried.equal.worse
        right[1] += bool(tried.slowed.worse)
        found = (tried.equal.changes[0], tried.slowed.changes[0])
        cells = [cell for one in found for cell in (str(one.time), f"{one.raw:.3f}")]
        table.add_row(str(number + 1), f"{tried.load:.2f}", *cells)
        said = (tried.equal.headline(), tried.slowed.headline())
        console.print(f"try {number + 1}: {said[0]}; slowed: {said[1]}", soft_wrap=True)
    console.print(table)
    console.print(f"equal runs passed: {right[0]} of {asked.tries}")
    console.print(f"slowed runs stopped: {right[1]} of {asked.tries}")


if __name__ == "__main__":
    main()
