"""Progress in frames: a bar on a terminal, a plain line from time to time elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from keeprt.engine.cli.terminal.console import console, note
from keeprt.engine.media.errors import redact

EVERY_S = 10.0


def rate(frames_per_s: float) -> str:
    """Frames per second with the digits that say something."""
    return f"{frames_per_s:.1f} fps" if frames_per_s >= 1 else f"{frames_per_s:.2f} fps"


def progress_line(what: str, frames: int, total: int | None, seconds: float) -> str:
    """How far it is: frames, the mean rate so far, and the time left where the total is known."""
    line = f"{what}: {frames}{'' if total is None else f' of {total}'} frames"
    if not frames or seconds <= 0:
        return line
    line += f", {rate(frames / seconds)}"
    if total is not None and frames < total:
        left = timedelta(seconds=round((total - frames) * seconds / frames))
        line += f", {left} left"
    return line


class _FramesPerSecond(ProgressColumn):
    """Rate of the last frames, or the time a frame takes where that says more."""

    def render(self, task: Task) -> Text:
        return Text(rate(task.speed) if task.speed else "-- fps")


class Ticker(AbstractContextManager["Ticker"]):
    """Prints `line(seconds since the start)` every ten seconds, unless it is empty; silent with
    --quiet."""

    def __init__(self, line: Callable[[float], str]) -> None:
        self._line, self._start = line, time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._start

    def __enter__(self) -> Ticker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(EVERY_S):
            if line := self._line(self.seconds):
                note(line)


@contextmanager
def frame_progress(what: str, frames: int | None) -> Iterator[Callable[[], None]]:
    """Progress in frames, with fps and time left; gives the function to call per frame.

    Without a terminal a plain line every ten seconds and at the end.
    """
    if console.is_terminal and not console.quiet:
        with _bar() as progress:
            task = progress.add_task(what, total=frames)
            yield lambda: progress.advance(task)
        return
    done = [0]

    def count() -> None:
        done[0] += 1

    with Ticker(lambda seconds: progress_line(what, done[0], frames, seconds)) as ticker:
        yield count
        seconds = ticker.seconds
    note(
        f"{progress_line(what, done[0], done[0], seconds)}, in {timedelta(seconds=round(seconds))}"
    )


def _bar() -> Progress:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _FramesPerSecond(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, speed_estimate_period=60)


@contextmanager
def status(first: str = "") -> Iterator[Callable[[str], None]]:
    """Says what goes on now; gives the function that changes it. Without a terminal, from time to
    time a plain line."""
    if console.is_terminal and not console.quiet:
        with console.status(Text(first)) as shown:
            yield lambda text: shown.update(Text(redact(text)))
        return
    current = [first]
    with Ticker(lambda seconds: f"{current[0]} ({seconds:.0f} s)" if current[0] else ""):
        yield lambda text: current.__setitem__(0, text)


@contextmanager
def steps(first: str) -> Iterator[Callable[[str, float, float], None]]:
    """A bar for work of several steps: the function takes a step's name, what is done, and of how
    much."""
    if console.is_terminal and not console.quiet:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task(first, total=None)

            def show(name: str, done: float, total: float) -> None:
                progress.update(task, description=name, completed=done, total=total or None)

            yield show
        return
    current = [first]

    def remember(name: str, done: float, total: float) -> None:
        share = f", {100 * done / total:.0f} %" if total else ""
        current[0] = f"{name}{share}"

    with Ticker(lambda seconds: f"{current[0]} ({seconds:.0f} s)"):
        yield remember
