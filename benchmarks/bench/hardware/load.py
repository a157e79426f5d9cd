"""Whatever else ran on this machine while it was measured."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

#: Above this share of all cores in other hands the machine counts as loaded.
LOADED_SHARE = 0.05
BEFORE_S = 1.0
NOT_BUSY = ("idle", "iowait", "guest", "guest_nice")  # guests are counted under user already
PACE_SIZE, PACE_PRODUCTS, PACE_REPEATS = 64, 100, 5
SCHEDULER = Path("/proc/thread-self/schedstat")


@dataclass(frozen=True)
class Load:
    """Cores that other processes (and, on a virtual machine, other guests) kept busy: in the second
    before the run, and in each round. `average` is the system's load of the last minute before."""

    cores: int
    before: float
    rounds: tuple[float, ...] = ()
    average: float | None = None

    @property
    def is_loaded(self) -> bool:
        """Whether times of this run are those of a shared machine."""
        return max(self.before, self.mean) > LOADED_SHARE * self.cores

    @property
    def mean(self) -> float:
        """Over the rounds."""
        return float(np.mean(self.rounds)) if self.rounds else 0.0

    def statement(self) -> str:
        """In words; the first says which kind of machine it was."""
        most = f", at most {max(self.rounds):.2f}" if self.rounds else ""
        average = "" if self.average is None else f"; load average before {self.average:.2f}"
        return (
            f"{'LOADED' if self.is_loaded else 'quiet'}: other processes kept {self.before:.2f} of "
            f"{self.cores} cores busy before the run and {self.mean:.2f} during its rounds{most}"
            f"{average}"
        )

    def warning(self) -> str:
        """What to make of the figures, empty for a quiet machine."""
        if not self.is_loaded:
            return ""
        return (
            f"other load was there: {self.statement()}. Times are longer than this machine's own; "
            "compare only what took turns in the same run"
        )


@dataclass
class LoadWatch:
    """Counts processor time of all and of this process with its children, between two looks."""

    all_busy: Callable[[], float] = lambda: busy_seconds()
    our_busy: Callable[[], float] = lambda: own_seconds()
    clock: Callable[[], float] = time.monotonic
    before: float = 0.0
    average: float | None = None
    rounds: list[float] = field(default_factory=list)

    def start(self, seconds: float = BEFORE_S) -> None:
        """Watches others for a moment in which we do nothing."""
        self.average = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        self._look()
        time.sleep(seconds)
        self.before = self.others()

    def others(self) -> float:
        """Cores in other hands since the last look."""
        was, mine, then = self._seen
        self._look()
        now, ours, when = self._seen
        return max(0.0, (now - was - (ours - mine)) / max(when - then, 1e-9))

    def end_round(self) -> None:
        """Keeps what others did since the last look."""
        self.rounds.append(self.others())

    def load(self) -> Load:
        """What was seen so far."""
        return Load(os.cpu_count() or 1, self.before, tuple(self.rounds), self.average)

    def _look(self) -> None:
        self._seen = (self.all_busy(), self.our_busy(), self.clock())


def busy_seconds() -> float:
    """Processor seconds that all cores were busy, since the system started."""
    times = psutil.cpu_times()._asdict()
    return float(sum(value for name, value in times.items() if name not in NOT_BUSY))


def own_seconds() -> float:
    """Processor seconds of this process, its children, and those that have ended."""
    process = psutil.Process()
    total = sum(process.cpu_times()[:4])
    for child in process.children(recursive=True):
        try:
            total += sum(child.cpu_times()[:4])
        except psutil.Error:
            continue
    return float(total)


def waited_seconds() -> float:
    """Seconds that this thread was ready to run and another had its core (Linux); 0 elsewhere."""
    try:
        return int(SCHEDULER.read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def pace_seconds() -> float:
    """Median seconds of a small fixed work of one thread, without its waiting for a core.

    A core that shares its clock, caches or pipes with other work takes longer for it: runs are
    compared in units of it.
    """
    matrix = np.full((PACE_SIZE, PACE_SIZE), 1 / PACE_SIZE, np.float32)
    out = np.empty_like(matrix)
    return float(np.median([_timed(matrix, out) for _ in range(PACE_REPEATS)]))


def _timed(matrix: np.ndarray, out: np.ndarray) -> float:
    waited, start = waited_seconds(), time.perf_counter()
    for _ in range(PACE_PRODUCTS):
        np.matmul(matrix, matrix, out=out)
    spent = time.perf_counter() - start
    return max(spent - (waited_seconds() - waited), 1e-9)


def net_rounds(
    rounds: Sequence[Sequence[float]], waited: Sequence[Sequence[float]], pace: Sequence[float]
) -> list[list[float]]:
    """Calls without their waiting for a core, in units of the round's pace where it was taken."""
    found = []
    for index, calls in enumerate(rounds):
        lost = waited[index] if index < len(waited) else [0.0] * len(calls)
        unit = pace[index] if index < len(pace) and pace[index] > 0 else 1.0
        found.append([max(c - w, 1e-9) / unit for c, w in zip(calls, lost, strict=True)])
    return found
