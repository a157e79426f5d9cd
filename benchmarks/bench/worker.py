"""A contender in a process of its own: cold starts are cold, and peak memory is its alone."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import psutil

from keeprt.benchmarks.bench.contenders import Case, Contender, EngineContender, StageSeconds
from keeprt.engine.errors import KeeprtError, UsageError
from keeprt.engine.pixels import Picture

ENGINE = "keeprt"
RIVALS = ("eager", "compile", "onnxruntime")
STOP_S = 20


@dataclass(frozen=True)
class Sample:
    """One call: seconds in all and by stage, and the process's resident memory after it."""

    seconds: float
    stages: StageSeconds
    resident_bytes: int


@dataclass(frozen=True)
class ContenderSpec:
    """What a process needs to make a contender; the name chooses it."""

    name: str
    bundle: Path
    case: Case
    weights: str = ""
    backend: str = "onnxruntime"
    provider: str = "cpu"

    def make(self) -> Contender:
        """The contender, its library imported. Raises UsageError for an unknown name."""
        if self.name in (ENGINE, f"{ENGINE} (eager)"):
            eager = self.name != ENGINE
            return EngineContender(self.bundle, self.case, self.backend, self.provider, eager)
        if self.name == "onnxruntime":
            from keeprt.benchmarks.bench.plain_onnx import PlainOnnx

            return PlainOnnx(self.bundle, self.case)
        if self.name in ("eager", "compile"):
            from keeprt.benchmarks.bench.reference import ReferenceContender

            compiled = self.name == "compile"
            return ReferenceContender(self.bundle, self.weights, self.case, compiled)
        raise unknown_rival(self.name)


def unknown_rival(name: str) -> UsageError:
    """The error for a rival that there is not."""
    return UsageError(f"unknown rival {name!r}; choose among {', '.join(RIVALS)}")


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

    def peak_bytes(self) -> int:
        """The most host memory that its process has held."""

    def close(self) -> None:
        """Gives everything back."""


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
        return [self._timed(self._contender.call, pictures) for pictures in calls]

    def peak_bytes(self) -> int:
        """See Participant; of the whole process, whatever else it has done."""
        return peak_memory_bytes()

    def close(self) -> None:
        """See Participant."""
        self.__dict__.pop("_contender", None)

    def _timed(
        self, call: Callable[[Sequence[Picture]], StageSeconds], pictures: Sequence[Picture]
    ) -> Sample:
        start = time.perf_counter()
        stages = call(pictures)
        seconds = time.perf_counter() - start
        return Sample(seconds, stages, self._process.memory_info().rss)


class ContenderError(Exception):
    """A contender that could not go on, in one line for the table."""


class Remote:
    """A participant in a fresh process, which is ended by `close`.

    Errors of keeprt pass through; anything else, such as memory that is not to be had, becomes
    a ContenderError.
    """

    def __init__(self, spec: ContenderSpec) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, spec), daemon=True)
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

    def peak_bytes(self) -> int:
        """See Participant."""
        return int(self._ask("peak_bytes"))

    def close(self) -> None:
        """See Participant."""
        self._here.close()
        self._process.join(STOP_S)
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
