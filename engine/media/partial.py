"""Output that appears under its final name only when it is complete."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from pathlib import Path

from keeprt.engine.errors import MediaError
from keeprt.engine.media.errors import PathLike, display_name, reason


class PartialOutput:
    """A temporary file or folder beside `path`; `commit` moves it there, `discard` removes it.

    The temporary name is hidden and has the final suffix: `.clip.part-1a2b3c4d.mp4`. A process
    that is killed outright leaves it behind; the final name stays as it was.
    """

    def __init__(self, path: PathLike, inputs: list[PathLike], overwrite: bool, is_folder: bool):
        """Raises MediaError before any work if the output cannot stand or be written there."""
        self.path = Path(path)
        name = display_name(path)
        for source in inputs:
            if _same(self.path, source):
                raise MediaError(f"the output {name} is the input; give it another name")
        self._refuse_existing(name, overwrite, is_folder)
        unique = f".{self.path.stem}.part-{secrets.token_hex(4)}{self.path.suffix}"
        self.temporary = self.path.parent / unique
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
        """Move the finished output under its final name, at once for a file or a new folder."""
        try:
            if self.temporary.is_dir() and self.path.exists():
                for file in self.temporary.iterdir():
                    file.replace(self.path / file.name)
                self.temporary.rmdir()
            else:
                self.temporary.replace(self.path)
        except OSError as error:
            self.discard()
            raise MediaError(f"cannot write {display_name(self.path)}: {reason(error)}") from error

    def discard(self) -> None:
        """Remove what was written so far."""
        if self.temporary.is_dir():
            shutil.rmtree(self.temporary, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                self.temporary.unlink(missing_ok=True)


def _same(output: Path, source: PathLike) -> bool:
    try:
        return output.samefile(source)
    except OSError:
        return False
