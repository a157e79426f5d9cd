"""Names of inputs and outputs: what is a file, a pipe, an address, and how FFmpeg is told of it."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from keeprt.engine.errors import UsageError

PathLike = str | os.PathLike[str]

STANDARD = "-"
#: FFmpeg's image reader takes a%03d.png for a sequence unless it is told.
LITERAL = {"pattern_type": "none"}
_ADDRESS = re.compile(r"[a-zA-Z][\w+.-]*://")
_FOLDED = re.compile(r"[a-zA-Z][\w+.-]+:/")


def is_address(name: PathLike) -> bool:
    """Whether FFmpeg is to open this by itself: something like http://host/clip.ts."""
    text = os.fspath(name)
    return bool(_ADDRESS.match(text)) and not Path(text).exists()


def was_address(path: Path) -> bool:
    """Whether a path was an address: it has lost one of the two slashes."""
    return bool(_FOLDED.match(str(path)))


def is_standard(name: PathLike) -> bool:
    """Whether this is `-`, the standard input or output."""
    return os.fspath(name) == STANDARD


def is_stream(name: PathLike) -> bool:
    """Whether this can be gone through only once: `-`, a FIFO, a socket, a terminal."""
    if is_standard(name):
        return True
    try:
        mode = Path(name).stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISBLK(mode))


def for_ffmpeg(name: PathLike) -> str:
    """A local path as FFmpeg takes it literally: a colon in a name is no protocol to it then."""
    text = os.fspath(name)
    return text if is_address(text) else f"file:{text}"


def same_place(one: PathLike, two: PathLike) -> bool:
    """Whether two names mean the same file or folder, or would once they are written."""
    if is_address(one) or is_address(two) or is_standard(one) or is_standard(two):
        return False
    if is_stream(one) or is_stream(two):
        return False
    try:
        return Path(one).samefile(two)
    except OSError:
        return Path(one).resolve() == Path(two).resolve()


def refuse_shared(**places: PathLike | None) -> None:
    """UsageError if two of the named places are one: what is written there would be lost."""
    named = [(name, place) for name, place in places.items() if place is not None]
    for number, (one, first) in enumerate(named):
        for two, second in named[number + 1 :]:
            if same_place(first, second):
                raise UsageError(f"{one} and {two} are the same file; give one another name")
