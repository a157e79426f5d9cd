"""The files of an archive: which are restored, with what options of their own, and to where."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from keeprt.engine.archive.recipe import restore_options
from keeprt.engine.archive.store import Store, open_store
from keeprt.engine.errors import UsageError
from keeprt.engine.media.containers import VIDEO_SUFFIXES

# Containers that FFmpeg reads; where keeprt does not write one, Matroska holds what it held.
OTHER_SUFFIXES = (
    *(".3gp", ".asf", ".avi", ".dv", ".f4v", ".flv", ".m2t", ".m2ts", ".m2v", ".mpeg", ".mpg"),
    *(".mts", ".mxf", ".nut", ".ogm", ".ogv", ".vob", ".wmv", ".y4m"),
)
MANIFESTS = (".csv", ".jsonl")
SOURCE, TARGET = "source", "output"


@dataclass(frozen=True)
class Job:
    """One file: its name below IN, that of its output below OUT, options of its own."""

    source: str
    output: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Archive:
    """Where files come from and go to, and the files. skipped: names that are no video."""

    sources: Store
    outputs: Store
    jobs: Sequence[Job]
    skipped: Sequence[str] = ()


def find_archive(given: str, out: str) -> Archive:
    """The jobs of a folder, or those that a manifest (CSV or JSONL) names, relative to its folder.

    A manifest has a column "source", may have "output", and any other column is an option of the
    file by the name that `RestoreOptions` gives it. Raises UsageError.
    """
    manifest = PurePosixPath(given).suffix.lower() in MANIFESTS
    folder = str(PurePosixPath(given).parent) if manifest and "://" not in given else given
    if manifest and "://" in given:
        folder = given.rpartition("/")[0]
    sources, outputs = open_store(folder), open_store(out)
    _refuse_nested(sources, outputs, manifest)
    if manifest:
        jobs, skipped = list(_listed(sources, given.rpartition("/")[2])), []
    else:
        names = list(sources.names())
        jobs = [Job(name, output_name(name)) for name in names if _is_video(name)]
        skipped = [name for name in names if not _is_video(name)]
    if not jobs:
        if "://" not in given and Path(given).is_file():
            raise UsageError(f"{given} is a file: give its folder, or use `keeprt restore`")
        raise UsageError(f"{given} holds no video ({len(skipped)} other files)")
    _refuse_twins(jobs)
    return Archive(sources, outputs, jobs, skipped)


def output_name(source: str) -> str:
    """The output's name: the source's, in Matroska where its container is not written."""
    suffix = PurePosixPath(source).suffix.lower()
    return source if suffix in VIDEO_SUFFIXES else f"{source}.mkv"


def _is_video(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in (*VIDEO_SUFFIXES, *OTHER_SUFFIXES)


def _listed(store: Store, name: str) -> Iterator[Job]:
    content = store.read(name)
    if content is None:
        raise UsageError(f"no manifest {name} in {store.url}")
    for number, row in enumerate(_rows(name, content), 1):
        source = row.pop(SOURCE, None)
        if not isinstance(source, str) or not source:
            raise UsageError(f"{name}, entry {number}: it names no {SOURCE!r}")
        output = row.pop(TARGET, None) or output_name(source)
        own = {key: value for key, value in row.items() if value not in (None, "")}
        try:
            restore_options(own)
        except UsageError as error:
            raise UsageError(f"{name}, entry {number} ({source}): {error}") from None
        yield Job(source, str(output), own)


def _rows(name: str, content: bytes) -> Iterator[dict[str, Any]]:
    try:
        text = content.decode("utf-8-sig")
        if name.lower().endswith(".csv"):
            yield from csv.DictReader(io.StringIO(text), strict=True)
            return
        for line in text.splitlines():
            if line.strip():
                yield dict(json.loads(line))
    except (ValueError, TypeError, csv.Error) as error:
        raise UsageError(f"{name} is no manifest: {error}") from None


def _refuse_nested(sources: Store, outputs: Store, manifest: bool) -> None:
    """Outputs among the sources would be restored again by the next run."""
    if not (sources.is_local and outputs.is_local):
        inside = sources.url.rstrip("/") == outputs.url.rstrip("/")
    else:
        # Not Path.resolve(): before Python 3.13 links in a circle are no OSError to it.
        here, there = (Path(os.path.realpath(store.root)) for store in (sources, outputs))
        inside = here == there or (not manifest and here in there.parents)
    if inside:
        raise UsageError(f"the outputs would lie among the sources in {sources.url}: move OUT away")


def _refuse_twins(jobs: Sequence[Job]) -> None:
    seen: dict[str, str] = {}
    for job in jobs:
        # Some file systems hold A and a for one name.
        other = seen.setdefault(job.output.casefold(), job.source)
        if other != job.source:
            raise UsageError(
                f"{other} and {job.source} would both be written to {job.output}; rename one, or "
                "give their outputs in a manifest"
            )
