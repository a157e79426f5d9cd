"""One file of an archive: fetched, restored, put in its place, its receipt written last."""

from __future__ import annotations

import errno
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from keeprt.engine.archive.jobs import Job
from keeprt.engine.archive.receipt import (
    Output,
    Receipt,
    ReceiptFile,
    decide,
    receipt_of,
)
from keeprt.engine.archive.recipe import Recipe, restorer_for
from keeprt.engine.archive.store import Store, Version, open_store
from keeprt.engine.errors import BackendError, BundleError, KeeprtError, MediaError
from keeprt.engine.media.writing.partial import partial_stem
from keeprt.engine.pipeline import Summary, restore_video
from keeprt.engine.pipeline.video import open_input

#: Restores a file with a path into another.
Do = Callable[[Path, Path], Summary]
# A full disk, missing rights, a lost mount: not the file's fault.
MACHINES = {
    *(errno.EACCES, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM),
    *(errno.ENOSPC, errno.EPERM, errno.EROFS, errno.ESTALE, errno.ETIMEDOUT),
}


@dataclass(frozen=True)
class Rules:
    """When a file is done again. attempts: how many processes may die of it. deep: an output is
    believed only if its hash is that of its receipt. overwrite: a file that stands where an output
    goes, and that no receipt calls ours, is replaced."""

    attempts: int = 3
    retry_failed: bool = False
    deep: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Row:
    """What became of one file, as a report has it. seconds: that restoring it took, now or before.
    restored_faces: in all frames. warnings: what the output does not keep, or could not read."""

    source: str
    output: str
    status: Literal["restored", "done before", "failed"]
    frames: int = 0
    tracks: int = 0
    restored_faces: int = 0
    seconds: float = 0.0
    attempts: int = 0
    error: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """Where one file comes from and goes to, and where its receipt lies."""

    sources: Store
    outputs: Store
    job: Job
    receipt: ReceiptFile

    @classmethod
    def of(cls, sources: str, outputs: str, job: Job) -> Place:
        """Of a file in an archive: the receipt lies beside the output."""
        there = open_store(outputs)
        return cls(open_store(sources), there, job, receipt_of(there, job.output))

    def remove_parts(self) -> None:
        """Removes what a process that was killed had written of the output so far."""
        if self.outputs.is_local:
            path = self.outputs.output(self.job.output, Path())
            stem, suffix = _literal(partial_stem(path)), _literal(path.suffix)
            for part in path.parent.glob(f".{stem}.part-*{suffix}"):
                part.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Look:
    """What a look at a file found: its receipt, that of an attempt that would begin now, and what
    is to be done."""

    receipt: Receipt | None
    started: Receipt
    verdict: str


def restore_one(
    sources: str,
    outputs: str,
    job: Job,
    recipe: Recipe,
    rules: Rules = Rules(),
    on_frame: Callable[[], None] = lambda: None,
) -> Row:
    """Restores one file of an archive unless its receipt says that this was done.

    Stores are named by URL, so that another process can be asked for it. See `restore_once`.
    """
    mine = recipe.with_options(job.options)

    def do(source: Path, made: Path) -> Summary:
        options = mine.restore_options()
        with open_input(source, options) as video:
            return restore_video(video, made, restorer_for(mine, video.info), options, on_frame)

    try:
        return restore_once(Place.of(sources, outputs, job), mine.hash(), rules, do)
    except KeeprtError as error:
        return Row(job.source, job.output, "failed", error=str(error))


def restore_once(place: Place, recipe: str, rules: Rules, do: Do) -> Row:
    """Restores a file by `do` unless its receipt says that this was done with this very recipe.

    An error of the file is a row and a receipt; one of the machine (a full disk, a network that
    does not load) is a row alone, and the next run tries again. What ends the process (a signal,
    Ctrl-C) is raised, and takes the receipt of this attempt back.
    """
    job = place.job
    try:
        look = _look(place, recipe, rules)
        if look.verdict != "skip":
            with place.outputs.held(job.output):
                look = _look(place, recipe, rules)  # another process may just have done it
                place.remove_parts()
                if look.verdict == "restore":
                    return _attempt(place, look, rules, do)
        return _as_before(job, look.receipt)
    except KeeprtError as error:
        return Row(job.source, job.output, "failed", error=str(error))


def give_up(outputs: str, job: Job, error: str) -> Row:
    """The row and the receipt of a file whose process died too often."""
    place = Place.of(outputs, outputs, job)
    failed = Row(job.source, job.output, "failed", error=error)
    try:
        with place.outputs.held(job.output):
            place.remove_parts()
            receipt = place.receipt.read()
            return failed if receipt is None else _failed(place, receipt, error)
    except KeeprtError:
        return failed


def _attempt(place: Place, look: _Look, rules: Rules, do: Do) -> Row:
    _refuse_foreign(place, rules)
    place.receipt.write(look.started)
    try:
        made = _restore(place, do)
    except Exception as error:  # whatever it is, it is this file's, and others go on
        said = str(error) if isinstance(error, KeeprtError) else f"{type(error).__name__}: {error}"
        said = _without_folders(said, place.sources, place.outputs)
        if is_the_machines(error):
            place.receipt.put_back(look.receipt)
            return Row(place.job.source, place.job.output, "failed", error=said)
        return _failed(place, look.started, said)
    except BaseException:
        place.remove_parts()
        place.receipt.put_back(look.receipt)
        raise
    place.receipt.write(replace(look.started, status="done", output=made))
    return _row(place.job, "restored", made, look.started.attempts)


def is_the_machines(error: BaseException) -> bool:
    """Whether another run, on a machine in order, could do better with the same file."""
    if isinstance(error, (BackendError, BundleError, MemoryError)):
        return True
    return any(getattr(one, "errno", None) in MACHINES for one in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _restore(place: Place, do: Do) -> Output:
    start, job = time.perf_counter(), place.job
    with tempfile.TemporaryDirectory(prefix="keeprt-archive-") as folder:
        inside, outside = Path(folder) / "in", Path(folder) / "out"
        inside.mkdir()
        outside.mkdir()
        source = place.sources.fetch(job.source, inside)
        made = place.outputs.output(job.output, outside)
        summary = do(source, made)
        place.outputs.publish(made, job.output)
    return _output(place.outputs, job, summary, time.perf_counter() - start)


def _output(store: Store, job: Job, summary: Summary, seconds: float) -> Output:
    version = store.version(job.output)
    if version is None:
        raise MediaError(f"{job.output} is not there although it was written")
    restored = sum(span.frames for span in summary.tracks.values())
    return Output(
        version,
        store.sha256(job.output),
        summary.frames,
        len(summary.tracks),
        restored,
        seconds,
        tuple(_warnings(summary)),
    )


def _warnings(summary: Summary) -> Iterator[str]:
    yield from summary.notes
    if not summary.tracks:
        yield "no face was restored"


def _look(place: Place, recipe: str, rules: Rules) -> _Look:
    source = place.sources.version(place.job.source)
    if source is None:
        raise MediaError(f"no such file: {place.job.source}")
    receipt = place.receipt.read()
    started = _started(receipt, recipe, source)
    return _Look(receipt, started, _verdict(place, receipt, started, rules))


def _started(receipt: Receipt | None, recipe: str, source: Version) -> Receipt:
    same = receipt is not None and (receipt.recipe, receipt.source) == (recipe, source)
    died = receipt.attempts if same and receipt is not None and receipt.status == "started" else 0
    return Receipt("started", recipe, source, died + 1)


def _verdict(place: Place, receipt: Receipt | None, started: Receipt, rules: Rules) -> str:
    verdict = decide(
        receipt,
        started.recipe,
        started.source,
        place.outputs.version(place.job.output),
        attempts=rules.attempts,
        retry_failed=rules.retry_failed,
    )
    if verdict == "skip" and rules.deep and receipt is not None and receipt.output is not None:
        found = place.outputs.sha256(place.job.output)
        return "skip" if found == receipt.output.sha256 else "restore"
    return verdict


def _refuse_foreign(place: Place, rules: Rules) -> None:
    """A file without a receipt was not made here."""
    if rules.overwrite or place.outputs.version(place.job.output) is None:
        return
    if not place.receipt.exists():
        raise MediaError(
            f"{place.job.output} exists already and has no receipt: --overwrite replaces it"
        )


def _as_before(job: Job, receipt: Receipt | None) -> Row:
    assert receipt is not None
    if receipt.status == "done" and receipt.output is not None:
        return _row(job, "done before", receipt.output, receipt.attempts)
    error = receipt.error or f"{receipt.attempts} processes died of it"
    again = f"{error} (tried before; --retry-failed tries again)"
    return Row(job.source, job.output, "failed", attempts=receipt.attempts, error=again)


def _row(job: Job, status: Literal["restored", "done before"], made: Output, attempts: int) -> Row:
    counts = (made.frames, made.tracks, made.restored_faces)
    row = Row(job.source, job.output, status, *counts, made.seconds, attempts)
    return replace(row, warnings=made.warnings)


def _failed(place: Place, started: Receipt, error: str) -> Row:
    with suppress(KeeprtError):  # the row says it in any case
        place.receipt.write(replace(started, status="failed", error=error))
    job = place.job
    return Row(job.source, job.output, "failed", attempts=started.attempts, error=error)


def _without_folders(error: str, *stores: Store) -> str:
    """A report is shown to others: names of files, not the places of this machine."""
    for store in stores:
        error = error.replace(f"{store.root.rstrip('/')}/", "")
    return " ".join(error.split())


def _literal(text: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in text)
