"""What goes wrong with media files: the errors, and the words for what FFmpeg reported."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable

import av
import av.error
import av.logging

from keeprt.engine.errors import MediaError
from keeprt.engine.media.places import PathLike as PathLike

# A path folds the two slashes of an address into one.
_URL = re.compile(r"(?P<scheme>[a-zA-Z][\w+.-]+):(?P<slashes>//?)(?P<rest>[^\s'\"]*)")
# What comes after the reason.
_NO_REASON = ("ff_frame_thread_encoder_init failed",)
# Control characters, ends of lines, and what turns the direction of writing.
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_LOG_LOCK = threading.Lock()


class MediaNotFoundError(MediaError, FileNotFoundError):
    """The input does not exist."""


class TruncatedMediaError(MediaError):
    """The input ends, or is damaged, before its last frame; `frames` were decoded before that."""

    def __init__(self, message: str, frames: int) -> None:
        super().__init__(message)
        self.frames = frames


def redact(text: str) -> str:
    """`text` with the user, password, query and fragment of every URL in it replaced by `***`."""
    return _URL.sub(_redact_url, text)


def _redact_url(match: re.Match[str]) -> str:
    rest = re.split(r"[?#]", match["rest"], maxsplit=1)
    host, slash, path = rest[0].partition("/")
    # A password may hold a bare "/" or "@": everything before the last "@" counts as credentials.
    if "@" in rest[0]:
        host, slash, path = rest[0].rpartition("@")[2].partition("/")
        host = ("***@" if rest[0].partition("@")[0] else "@") + host
    query = "?***" if len(rest) > 1 else ""
    return f"{match['scheme']}:{match['slashes']}{host}{slash}{path}{query}"


def display_name(path: PathLike) -> str:
    """How messages name a file or URL: on one line, without credentials."""
    return printable(redact(os.fspath(path)))


def printable(text: str) -> str:
    """`text` on one line: what a terminal would obey, and bytes that are no text, escaped."""
    shown = _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return shown.encode(errors="backslashreplace").decode()


def reason(error: BaseException) -> str:
    """FFmpeg's or the system's words for `error`, on one line, without file names."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return redact(" ".join(str(words).split()))


def last_ffmpeg_line(action: Callable[[], object]) -> str | None:
    """The last error line that FFmpeg logs while `action` fails again; None if it logs nothing."""
    lines = [line for line in logged_lines(action, av.logging.ERROR) if line not in _NO_REASON]
    return redact(lines[-1]) if lines else None


def logged_lines(action: Callable[[], object], level: int = av.logging.INFO) -> list[str]:
    """What FFmpeg logs at this level or above during `action`, whose failure does not matter.

    FFmpeg's log is off otherwise: it comes from decoder threads, where PyAV's logging takes the
    GIL and may wait for a thread that is being joined.
    """
    with _LOG_LOCK:
        before = av.logging.get_level()
        repeats = av.logging.get_skip_repeated()
        av.logging.set_level(level)
        av.logging.set_skip_repeated(False)
        try:
            failures = (av.error.FFmpegError, ValueError, OSError)
            with av.logging.Capture() as lines, contextlib.suppress(*failures):
                action()
        finally:
            av.logging.set_level(before)
            av.logging.set_skip_repeated(repeats)
    return [" ".join(text.split()) for _, _, text in lines if text.strip()]
