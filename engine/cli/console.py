"""What the command prints with: messages and progress go to stderr, results to stdout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from keeprt.engine.errors import UsageError

console = Console(stderr=True)
output = Console()


class _FramesPerSecond(ProgressColumn):
    """Rate of the last frames, or the time a frame takes where that says more."""

    def render(self, task: Task) -> Text:
        speed = task.speed
        if not speed:
            return Text("-- fps")
        return Text(f"{speed:.1f} fps" if speed >= 1 else f"{speed:.2f} fps")


@contextmanager
def frame_progress(what: str, frames: int | None) -> Iterator[Callable[[], None]]:
    """A progress bar in frames, with fps and time left; gives the function to call per frame."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _FramesPerSecond(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, speed_estimate_period=60) as progress:
        task = progress.add_task(what, total=frames)
        yield lambda: progress.advance(task)


def need(module: str, extra: str) -> ModuleType:
    """Imports a part of keeprt that needs an extra. Raises UsageError naming the extra."""
    from importlib import import_module

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"this command needs {error.name}: pip install 'keeprt[{extra}]'"
        ) from None


def warn_synthetic() -> None:
    """Says plainly that made-up weights make no faces."""
    console.print(
        "note: these are synthetic weights, for speed and agreement only; "
        "the pictures they make mean nothing",
        style="yellow",
    )
