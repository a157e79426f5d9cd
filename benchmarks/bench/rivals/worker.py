"""A contender in a process of its own: cold starts are cold, and peak memory is its alone."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import psutil

from keeprt.benchmarks.bench.hardware.load import pace_seconds, waited_seconds
from keeprt.benchmarks.bench.rivals.catalogue import make_rival
from keeprt.benchmarks.bench.rivals.contenders import (
    Case,
    Contender,
    ContenderError,
    EngineContender,
    StageSeconds,
)
from keeprt.engine.errors import KeeprtError
from keeprt.engine.frame.pixels import Picture
from keeprt.engine.frame.times import FrameTimes
from keeprt.engine.opening import on_a_card

ENGINE = "keeprt"
EAGER, IN_FLIGHT = f"{ENGINE} (eager)", f"{ENGINE} (two in flight)"
STOP_S = 20


@dataclass(frozen=True)
class Sample:
    """One call: seconds in all and by stage, and the process's resident memory after it.

    `waited_s` of the seconds the calling thread was ready and had no core; `pace_s` is the round's
    unit of `pace_seconds`, 0 where none was taken; `prepared` contexts were made or graphs captured
    in the call, which then was not steady.
    """

    seconds: float
    stages: StageSeconds
    resident_bytes: int
    waited_s: float = 0.0
    pace_s: float = 0.0
    prepared: int = 0


@dataclass(frozen=True)
class ContenderSpec:
    """What a process needs to make a contender; the name chooses it."""

    name: str
    bundle: Path
    case: Case
    weights: str = ""
    backend: str = "onnxruntime"
    provider: str = "cpu"
    delay_s: float = 0.0
    device: int = 0

    @property
    def card(self) -> int | None:
        """Number of the card that the engine and its rivals run on, None on the processor."""
        return self.device if on_a_card(self.backend, self.provider) else None

    def make(self) -> Contender:
        """The contender, its library imported. Raises UsageError for an unknown name."""
        if self.name in (ENGINE, EAGER, IN_FLIGHT):
            how = {"eager": self.name == EAGER, "in_flight": self.name == IN_FLIGHT}
            return EngineContender(
                self.bundle,
                self.case,
                self.backend,
                self.provider,
                delay_s=self.delay_s,
                device=self.device,
                **how,
            )
        return make_rival(self.name, self.bundle, self.weights, self.case, self.card)


class Participant(Protocol):
    """A contender wherever it runs, with the clock beside it."""

    def load(self) -> float:
        """Seconds up to the first frame: libraries, bundle, memory."""

    def first(self, pictures: Sequence[Picture]) -> Sample:
        """The first call."""

    def settle(self, pictures: Sequence[Picture]) -> float:
        """Seconds of the calls until frames are steady."""

    def round(self, calls: Sequence[Sequence[Picture]]) -> list[Sample]:
        """Steady calls, one after the other."""

    def profile(self, calls: Sequence[Sequence[Picture]]) -> list[FrameTimes]:
        """So many frames timed on the card; none where it computes on the host."""

    def peak_bytes(self) -> int:
        """The most host memory that its process has held."""

    def close(self, at_once: bool = False) -> None:
        """Gives everything back; `at_once` does not wait for what it is doing."""


class Local:
    """A participant in this process."""

    def __init__(self, make: Callable[[], Contender]) -> None:
        self._make = make
        self._process = psutil.Process()

    def load(self) -> float:
        """See Participant."""
        start = time.perf_counter()
        self._contender = self._make()
        self._contender.load()
        return time.perf_counter() - start

    def first(self, pictures: Sequence[Picture]) -> Sample:
        """See Participant."""
        return self._timed(self._contender.first, pictures)

    def settle(self, pictures: Sequence[Picture]) -> float:
        """See Participant."""
        start = time.perf_counter()
        self._contender.settle(pictures)
        return time.perf_counter() - start

    def round(self, calls: Sequence[Sequence[Picture]]) -> list[Sample]:
        """See Participant."""
        pace_s = pace_seconds()
        return [
            replace(self._timed(self._contender.call, pictures), pace_s=pace_s)
            for pictures in calls
        ]

    def profile(self, calls: Sequence[Sequence[Picture]]) -> list[FrameTimes]:
        """See Participant."""
        profile = getattr(self._contender, "profile", None)
        return [times for pictures in calls for times in profile(pictures)] if profile else []

    def peak_bytes(self) -> int:
        """See Participant; of the whole process, whatever else it has done."""
        return peak_memory_bytes()

    def close(self, at_once: bool = False) -> None:
        """See Participant."""
        self.__dict__.pop("_contender", None)

    def _timed(
        self, call: Callable[[Sequence[Picture]], StageSeconds], pictures: Sequence[Picture]
    ) -> Sample:
        before = getattr(self._contender, "prepared", 0)
        waited, start = waited_seconds(), time.perf_counter()
        stages = call(pictures)
        seconds = time.perf_counter() - start
        waited = max(0.0, min(seconds, waited_seconds() - waited))
        resident = self._process.memory_info().rss
        prepared = getattr(self._contender, "prepared", 0) - before
        return Sample(seconds, stages, resident, waited, prepared=prepared)


class Remote:
    """A participant in a fresh process, which is ended by `close`.

    Errors of keeprt pass through; anything else, such as memory that is not to be had, becomes
    a ContenderError.
    """

    def __init__(self, spec: ContenderSpec) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, spec), daemon=True)
        with _signals_are_the_parents():
            self._process.start()
        there.close()

    def load(self) -> float:
        """See Participant."""
        return float(self._ask("load"))

    def first(self, pictures: Sequence[Picture]) -> Sample:
        """See Participant."""
        sample: Sample = self._ask("first", list(pictures))
        return sample

    def settle(self, pictures: Sequence[Picture]) -> float:
        """See Participant."""
        return float(self._ask("settle", list(pictures)))

    def round(self, calls: Sequence[Sequence[Picture]]) -> list[Sample]:
        """See Participant."""
        samples: list[Sample] = self._ask("round", [list(pictures) for pictures in calls])
        return samples

    def profile(self, calls: Sequence[Sequence[Picture]]) -> list[FrameTimes]:
        """See Participant."""
        frames: list[FrameTimes] = self._ask("profile", [list(pictures) for pictures in calls])
        return frames

    def peak_bytes(self) -> int:
        """See Participant."""
        return int(self._ask("peak_bytes"))

    def close(self, at_once: bool = False) -> None:
        """See Participant."""
        self._here.close()
        self._process.join(0 if at_once else STOP_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            self._here.send((method, arguments))
            answer = self._here.recv()
        except (EOFError, OSError):
            self._process.join(STOP_S)
            code = self._process.exitcode
            reason = "killed: out of memory?" if code == -9 else f"ended with code {code}"
            raise ContenderError(reason) from None
        if isinstance(answer, KeeprtError | ContenderError):
            raise answer
        return answer


@contextmanager
def _signals_are_the_parents() -> Iterator[None]:
    """A process started here never sees Ctrl-C, SIGTERM or SIGHUP: they reach the whole group, and
    the parent, which has results to keep, ends its children itself."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    )
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, spec: ContenderSpec) -> None:
    """The process's life: answers until the other end is closed."""
    local = Local(spec.make)
    while True:
        try:
            method, arguments = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            answer = getattr(local, method)(*arguments)
        except KeeprtError as error:
            answer = error
        except KeyboardInterrupt:
            return
        except Exception as error:  # whatever the libraries raise is a line of the table
            first_line = (str(error).splitlines() or [""])[0]
            answer = ContenderError(f"{type(error).__name__}: {first_line}"[:200])
        pipe.send(answer)


def peak_memory_bytes() -> int:
    """The most memory this process has held resident.

    Linux's VmHWM where there is one: ru_maxrss there counts the parent's pages of before exec.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows keeps the peak itself
        return int(psutil.Process().memory_info().peak_wset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
