"""A whole archive: every file in turn, here or by an engine, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from keeprt.engine.archive.jobs import Archive
from keeprt.engine.archive.one import Row, Rules, restore_one
from keeprt.engine.archive.recipe import Recipe
from keeprt.engine.pipeline.given import try_given_networks


class Engine(Protocol):
    """What restores the files of an archive, in any order."""

    def __call__(self, archive: Archive, recipe: Recipe, rules: Rules) -> Iterable[Row]:
        """A row for each job, as soon as it is done; every job has exactly one."""


@dataclass
class Progress:
    """What is known while an archive is being restored. Times in seconds."""

    files: int
    done: int = 0
    failed: int = 0
    frames: int = 0
    started_s: float = field(default_factory=time.monotonic)

    def add(self, row: Row) -> None:
        """Counts a file that is finished."""
        self.done += 1
        self.failed += row.status == "failed"
        self.frames += row.frames if row.status == "restored" else 0

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started_s

    @property
    def left_s(self) -> float | None:
        """Seconds that the rest takes if its files are like those so far; None before the first."""
        return self.elapsed_s / self.done * (self.files - self.done) if self.done else None

    def __str__(self) -> str:
        left = "" if self.left_s is None else f", {self.left_s:.0f} s left"
        rate = self.frames / max(self.elapsed_s, 1e-9)
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.done}/{self.files} files{failed}, {self.frames} frames, {rate:.1f} fps{left}"


@dataclass(frozen=True)
class ArchiveResult:
    """A row for each file in the order of the jobs, and the seconds that all took together."""

    rows: list[Row]
    skipped: list[str]
    seconds: float

    @property
    def failed(self) -> list[Row]:
        """The files that could not be restored, now or before."""
        return [row for row in self.rows if row.status == "failed"]


def in_turn(archive: Archive, recipe: Recipe, rules: Rules) -> Iterator[Row]:
    """No engine: one file after the other in this process."""
    for job in archive.jobs:
        yield restore_one(archive.sources.url, archive.outputs.url, job, recipe, rules)


def restore_archive(
    archive: Archive,
    recipe: Recipe,
    rules: Rules = Rules(),  # noqa: B008 - a frozen value
    engine: Engine = in_turn,
    on_row: Callable[[Row, Progress], None] = lambda row, progress: None,
) -> ArchiveResult:
    """Restores every file that has no receipt for what it is now; a file that fails is a row.

    Raises UsageError for options that no file could have, BundleError, BackendError or FaceError
    for a network that cannot be loaded: these are found before the first file is touched.
    """
    recipe.hash()
    _try_given_networks(archive, recipe)
    progress = Progress(len(archive.jobs))
    rows: dict[str, Row] = {}
    for row in engine(archive, recipe, rules):
        rows[row.output] = row
        progress.add(row)
        on_row(row, progress)
    ordered = [rows[job.output] for job in archive.jobs]
    return ArchiveResult(ordered, list(archive.skipped), progress.elapsed_s)


def _try_given_networks(archive: Archive, recipe: Recipe) -> None:
    """Those that the options of the run and of single files name, each once."""
    own = [recipe.with_options(job.options) for job in archive.jobs if job.options]
    asked = [one.restore_options() for one in (recipe, *own)]
    for options in {(o.identity, o.upscaler, o.scale): o for o in asked}.values():
        try_given_networks(options)
