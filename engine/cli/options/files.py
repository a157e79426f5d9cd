"""The files that a command reads and writes, compared with each other before any work."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keeprt.engine.cli.options.declaration import Declared, Names
from keeprt.engine.errors import UsageError
from keeprt.engine.media.errors import display_name
from keeprt.engine.media.places import STANDARD, was_address

#: Bytes of a file in which it says what it is.
_HEAD = 200
WRITTEN = (Names.OUTPUT, Names.FOLDER, Names.VIDEO, Names.KEPT, Names.STORE, Names.RENEWED)


@dataclass(frozen=True)
class Named:
    """A file or folder in the role that an option gives it."""

    option: str
    role: Names
    path: Path

    @property
    def is_written(self) -> bool:
        """Whether the command may write there."""
        return self.role in WRITTEN


def check_files(
    command: str, options: Sequence[tuple[Declared, Any]], values: Mapping[str, Any]
) -> None:
    """Raises UsageError for a file in two roles, for one that cannot be written, and for one that
    is there already unless --overwrite was given."""
    _check_stdout(options)
    named = list(_named(options))
    for index, one in enumerate(named):
        for other in named[:index]:
            if (one.is_written or other.is_written) and same_file(one.path, other.path):
                raise UsageError(
                    f"{other.option} and {one.option} name the same file, "
                    f"{display_name(one.path)}: give one of them another name"
                )
    for one in named:
        if one.is_written:
            check_writable(one)
            inside = [other for other in named if _replaces_part(one, other)]
            if inside:
                raise UsageError(
                    f"{one.option} {display_name(one.path)} is a file of {inside[0].option}: "
                    "give it another name"
                )
            check_replaced(one, _may_replace(command, one, values))


def _may_replace(command: str, one: Named, values: Mapping[str, Any]) -> bool:
    """Whether what is there was given away, or is an earlier run's."""
    if one.role is Names.RENEWED and one.path.is_file():
        with one.path.open("rb") as stream:
            if f"keeprt-{command}".encode() in stream.read(_HEAD):
                return True
    if one.role is Names.VIDEO and values.get("receipt") is not None:
        return True  # the receipt tells whose it is
    return bool(values.get("overwrite") or values.get("force"))


def same_file(a: Path, b: Path) -> bool:
    """Whether two paths are one file, whatever links lead there; neither needs to exist."""
    try:
        return a.samefile(b)
    except OSError:
        return os.path.realpath(a) == os.path.realpath(b)


def check_writable(one: Named) -> None:
    """Raises UsageError where the file or folder can never appear."""
    where = f"cannot write {one.option} {display_name(one.path)}"
    if one.role is not Names.STORE and was_address(one.path):
        raise UsageError(f"{where}: it is an address; write a file, or - into what sends it")
    try:
        exists, is_folder = one.path.exists(), one.path.is_dir()
    except OSError as error:
        raise UsageError(f"{where}: {error.strerror}") from None
    if _is_circle(one.path):
        raise UsageError(f"{where}: it is a link that leads back to itself")
    wants_folder = one.role in (Names.FOLDER, Names.STORE)
    if exists and one.role is not Names.VIDEO and is_folder != wants_folder:
        raise UsageError(f"{where}: it is a {'folder' if is_folder else 'file'}")
    if one.role is not Names.VIDEO and exists and not (is_folder or one.path.is_file()):
        raise UsageError(f"{where}: it is no regular file ('-' is stdout, for --json)")
    parent = Path(os.path.realpath(one.path)).parent
    if one.role is Names.STORE or (wants_folder and not parent.exists()):
        parent = next(above for above in (parent, *parent.parents) if above.exists())
    if not parent.is_dir():
        raise UsageError(f"{where}: the folder {display_name(parent)} does not exist")
    if not os.access(one.path if is_folder else parent, os.W_OK | os.X_OK):
        raise UsageError(f"{where}: nothing can be written in {display_name(parent)}")


def _is_circle(path: Path) -> bool:
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def check_replaced(one: Named, overwrite: bool) -> None:
    """Raises UsageError for what would be replaced without leave."""
    if overwrite or one.role in (Names.KEPT, Names.STORE):
        return
    name = f"{one.option} {display_name(one.path)}"
    if one.path.is_file():
        raise UsageError(f"{name} exists already: --overwrite replaces it")
    if one.path.is_dir() and any(one.path.iterdir()):
        raise UsageError(f"{name} is a folder that is not empty: --overwrite writes into it")


def _check_stdout(options: Sequence[tuple[Declared, Any]]) -> None:
    """Raises UsageError where two things would be written into the standard output."""
    flags = [
        one.flag
        for one, value in options
        if one.names in WRITTEN and value is not None
        for path in one.paths(value)
        if str(path) == STANDARD
    ]
    if len(flags) > 1:
        raise UsageError(f"{flags[0]} and {flags[1]} are both -: one standard output holds one")


def _replaces_part(one: Named, other: Named) -> bool:
    """Whether an output is a file inside a folder that is read."""
    if other.is_written or not one.path.is_file() or not other.path.is_dir():
        return False
    return other.path.resolve() in one.path.resolve().parents


def _named(options: Sequence[tuple[Declared, Any]]) -> Iterator[Named]:
    for one, value in options:
        if one.names is None or value is None:
            continue
        for path in one.paths(value):
            # An old typer leaves text here, whose address still has both slashes.
            here = one.names in WRITTEN and one.names is not Names.STORE
            elsewhere = "://" in str(path) and not here
            if str(path) not in (STANDARD, "/dev/stdin") and not elsewhere:
                yield Named(one.flag, one.names, Path(path))
