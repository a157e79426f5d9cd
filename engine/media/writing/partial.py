"""Output that appears under its final name only when it is complete."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from keeprt.engine.errors import MediaError
from keeprt.engine.media.errors import PathLike, display_name, reason
from keeprt.engine.media.places import is_standard, same_place

_NAME_BYTES, _TOKEN_BYTES = 255, 4
#: What runs of another length leave in a folder: frames of a video, crops of a track.
_OURS = re.compile(r"frame_\d{6,}\.png|track_\d{4,}")


def partial_stem(path: Path) -> str:
    """The stem of the hidden name beside `path`: cut where that would be too long for a name."""
    room = _NAME_BYTES - len(os.fsencode(f"..part-{path.suffix}")) - 2 * _TOKEN_BYTES
    stem = os.fsencode(path.stem)
    return path.stem if len(stem) <= room else stem[:room].decode("utf-8", "ignore")


class PartialOutput:
    """A temporary file or folder beside `path`; `commit` moves it there, `discard` removes it.

    The temporary name is hidden and has the final suffix: `.clip.part-1a2b3c4d.mp4`. A process
    that is killed outright leaves it behind; the final name stays as it was.
    """

    def __init__(self, path: PathLike, inputs: list[PathLike], overwrite: bool, is_folder: bool):
        """Raises MediaError before any work if the output cannot stand or be written there."""
        # A link stays a link: what it points to is written.
        self.path = Path(os.path.realpath(path)) if Path(path).is_symlink() else Path(path)
        name = display_name(path)
        for source in inputs:
            if same_place(self.path, source):
                raise MediaError(f"the output {name} is the input; give it another name")
        self._refuse_existing(name, overwrite, is_folder)
        token = secrets.token_hex(_TOKEN_BYTES)
        unique = f".{partial_stem(self.path)}.part-{token}{self.path.suffix}"
        self.temporary = self.path.parent / unique
        # An interruption may come before any `with` is entered.
        atexit.register(self.discard)
        try:
            if is_folder:
                self.temporary.mkdir()
            else:
                self.temporary.open("xb").close()
        except OSError as error:
            raise MediaError(
                f"cannot write {name}: the folder {display_name(self.path.parent)} does not exist "
                f"or cannot be written ({reason(error)})"
            ) from error

    def _refuse_existing(self, name: str, overwrite: bool, is_folder: bool) -> None:
        try:
            exists = self.path.exists()
            taken = exists and not (is_folder and not any(self.path.iterdir()))
        except OSError as error:
            raise MediaError(f"cannot write {name}: {reason(error)}") from error
        if exists and self.path.is_dir() != is_folder:
            kind = "a file" if is_folder else "a folder"
            raise MediaError(f"cannot write {name}: it is {kind}; give another name")
        if taken and not overwrite:
            raise MediaError(f"{name} exists already; remove it or allow overwriting")

    def commit(self) -> None:
        """Move the finished output under its final name, at once for a file or a new folder.

        In a folder that was there, what an older run made does not stay among what is new.
        """
        try:
            if self.temporary.is_dir() and self.path.exists():
                self._replace_run()
                self.temporary.rmdir()
            else:
                self.temporary.replace(self.path)
        except OSError as error:
            self.discard()
            raise MediaError(f"cannot write {display_name(self.path)}: {reason(error)}") from error
        atexit.unregister(self.discard)

    def _replace_run(self) -> None:
        new = {made.name for made in self.temporary.iterdir()}
        for old in list(self.path.iterdir()):
            if old.name in new or _OURS.fullmatch(old.name):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
        for made in self.temporary.iterdir():
            made.replace(self.path / made.name)

    def discard(self) -> None:
        """Remove what was written so far."""
        atexit.unregister(self.discard)
        with contextlib.suppress(OSError):
            if self.temporary.is_dir():
                shutil.rmtree(self.temporary, ignore_errors=True)
            else:
                self.temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def partial_folder(path: PathLike | None) -> Iterator[Path | None]:
    """A folder to write into that becomes `path` when the block ends well; None for None."""
    if path is None:
        yield None
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    partial = PartialOutput(path, [], overwrite=True, is_folder=True)
    try:
        yield partial.temporary
    except BaseException:
        partial.discard()
        raise
    partial.commit()


class DirectOutput:
    """A pipe, written as it goes: the standard output for `-`, or a FIFO. Nothing to undo."""

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self.temporary = "pipe:1" if is_standard(path) else f"file:{self.path}"

    def commit(self) -> None:
        """Nothing is left to do."""

    def discard(self) -> None:
        """What went through a pipe cannot be called back."""
