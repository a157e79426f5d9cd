"""Two runs of the same thing: what got slower, and whether the machine did instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from keeprt.benchmarks.bench.hardware.load import net_rounds
from keeprt.benchmarks.bench.harness import describe
from keeprt.benchmarks.bench.ratios import Ratio, ratio_of_medians
from keeprt.benchmarks.bench.results import BenchResult, CaseResult, ContenderResult
from keeprt.benchmarks.junit import JUnitCase
from keeprt.engine.errors import UsageError

#: A median that is so much longer is worse, where its whole interval is above 1 + CERTAIN.
SLOWER, CERTAIN = 0.05, 0.02
MORE_MEMORY = 0.10
RULE = (
    f"worse: the median call takes more than {SLOWER:.0%} longer and its whole 95 % bootstrap "
    f"interval more than {CERTAIN:.0%}, or peak memory is more than {MORE_MEMORY:.0%} larger. On a "
    "processor calls are counted without the time in which their thread had no core, and in units "
    "of a small fixed work timed before each round, so that other load counts as little as can be"
)
SAME = ("CPU", "cores", "GPU")


@dataclass(frozen=True)
class Change:
    """One contender in one case, now by before. `raw` is of the times as they were measured."""

    case: str
    contender: str
    time: Ratio | None
    raw: float
    memory: float
    before_ms: float
    now_ms: float
    failure: str = ""

    @property
    def words(self) -> str:
        """What is worse, empty where nothing is."""
        if self.failure:
            return self.failure
        worse = []
        if self.time and self.time.value > 1 + SLOWER and self.time.low > 1 + CERTAIN:
            worse.append(f"takes {self.time} times as long")
        if self.memory > 1 + MORE_MEMORY:
            worse.append(f"takes {self.memory:.2f} times the memory")
        return " and ".join(worse)

    @property
    def is_faster(self) -> bool:
        """By the same rule."""
        return bool(self.time and self.time.value < 1 - SLOWER and self.time.high < 1 - CERTAIN)


@dataclass(frozen=True)
class Comparison:
    """All changes, and what else differs between the runs."""

    changes: tuple[Change, ...]
    notes: tuple[str, ...]

    @property
    def worse(self) -> list[Change]:
        """Those that are regressions."""
        return [change for change in self.changes if change.words]

    def headline(self) -> str:
        """The verdict in a line."""
        if not self.worse:
            faster = [f"{one.contender} ({one.case})" for one in self.changes if one.is_faster]
            better = f"; faster: {', '.join(faster)}" if faster else ""
            return f"no regression in {len(self.changes)} comparisons with the baseline{better}"
        said = "; ".join(f"{one.contender} ({one.case}) {one.words}" for one in self.worse)
        return f"REGRESSION in {len(self.worse)} of {len(self.changes)} comparisons: {said}"


def compare(now: BenchResult, before: BenchResult) -> Comparison:
    """Every contender of every case that both have. Raises UsageError where that is none, and for
    a baseline that was interrupted."""
    if not before.complete:
        raise UsageError("the baseline was interrupted: make it anew")
    earlier = {case.case: case for case in before.cases}
    changes = [
        change
        for case in now.cases
        if case.case in earlier
        for change in _changes(case, earlier[case.case], now.on_card or before.on_card)
    ]
    if not changes:
        raise UsageError(
            "the baseline has no case of this run: mode, faces, window, chunk, threads and "
            "scenario must be the same"
        )
    return Comparison(tuple(changes), tuple(_notes(now, before)))


def junit_cases(found: Comparison) -> Iterator[JUnitCase]:
    """One test case for each comparison."""
    for change in found.changes:
        group = f"keeprt.bench.{change.case.replace(', ', '.').replace(' ', '_')}"
        yield JUnitCase(group, f"{change.contender} against the baseline", change.words)


def _changes(now: CaseResult, before: CaseResult, on_card: bool) -> Iterator[Change]:
    earlier = {found.name: found for found in before.contenders if found.call_ms}
    for found in now.contenders:
        if found.name in earlier:
            yield _change(describe(now.case), found, earlier[found.name], on_card)


def _change(case: str, now: ContenderResult, before: ContenderResult, on_card: bool) -> Change:
    assert before.call_ms is not None
    if now.call_ms is None:
        before_ms = before.call_ms.p50
        return Change(case, now.name, None, 0, 0, before_ms, 0, f"failed: {now.failure}")
    net = not on_card and all(now.pace_ms) and all(before.pace_ms)
    a, b = (_net(found) if net else found.rounds_ms for found in (now, before))
    memory = now.peak_memory_mb / before.peak_memory_mb if before.peak_memory_mb else 1.0
    raw = now.call_ms.p50 / before.call_ms.p50
    ratio = ratio_of_medians(a, b, paired=False)
    return Change(case, now.name, ratio, raw, memory, before.call_ms.p50, now.call_ms.p50)


def _net(found: ContenderResult) -> list[list[float]]:
    return net_rounds(found.rounds_ms, found.rounds_waited_ms, found.pace_ms)


def _notes(now: BenchResult, before: BenchResult) -> Iterator[str]:
    differing = _differing(now.machine, before.machine, SAME)
    same = "the same kind of machine" if not differing else f"ANOTHER MACHINE: {differing}"
    yield f"baseline of {before.date or 'an unknown date'}, {same}"
    if now.bundle.get("identity") != before.bundle.get("identity"):
        yield "the bundle is another one: " + _differing(
            now.bundle, before.bundle, tuple(now.bundle)
        )
    others = tuple(n for n in (*now.machine, *before.machine) if n not in SAME)
    if changed := _differing(now.machine, before.machine, tuple(dict.fromkeys(others))):
        yield f"also changed: {changed}"
    for name, result in (("this run", now), ("the baseline", before)):
        if result.load is not None:
            yield f"{name}: {result.load.statement()}"


def _differing(now: Mapping[str, str], before: Mapping[str, str], names: tuple[str, ...]) -> str:
    return ", ".join(
        f"{name} {str(before.get(name, 'none'))[:40]} -> {str(now.get(name, 'none'))[:40]}"
        for name in names
        if now.get(name) != before.get(name)
    )
