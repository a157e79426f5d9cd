"""Opening a container, once: a file, an address or a pipe, its streams and programmes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av.error
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from keeprt.engine.errors import MediaError, UsageError
from keeprt.engine.media import pyav
from keeprt.engine.media.errors import PathLike, display_name, last_ffmpeg_line, reason
from keeprt.engine.media.places import LITERAL, for_ffmpeg, is_address, is_standard, is_stream
from keeprt.engine.media.reading.programmes import (
    HEAD_BYTES,
    Programme,
    is_transport_stream,
    programmes_in,
    scrambled_pids,
)

_PROBE = 188 * 5


class Pipe:
    """A pipe whose beginning was looked at and is read all the same."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.head = self._peek(_PROBE)
        if is_transport_stream(self.head):
            self.head += self._peek(HEAD_BYTES // 4)
        self._rest = self.head

    def read(self, size: int) -> bytes:
        """At most `size` bytes, as soon as there are some; none at the end."""
        if self._rest:
            part, self._rest = self._rest[:size], self._rest[size:]
            return part
        return self._file.read(size)

    def close(self) -> None:
        """Closes a pipe that was opened here; the standard input stays."""
        if self._file is not sys.stdin.buffer:
            self._file.close()

    def _peek(self, size: int) -> bytes:
        parts, left = [], size
        while left > 0:
            part = self._file.read(left)
            if not part:
                break
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


@dataclass(frozen=True)
class Opened:
    """An open input. `once`: it cannot be gone back in. `programmes` and `scrambled`, the ids of
    such streams: of a transport stream."""

    container: InputContainer
    name: str
    once: bool = False
    programmes: tuple[Programme, ...] = ()
    scrambled: frozenset[int] = frozenset()
    pipe: Pipe | None = None

    def close(self) -> None:
        """Releases the file."""
        self.container.close()
        if self.pipe is not None:
            self.pipe.close()


def open_input(
    path: PathLike, hwaccel: HWAccel | None = None, format_name: str | None = None
) -> Opened:
    """The input at `path`; MediaError with FFmpeg's last words if it cannot be opened."""
    name = display_name(path)
    pipe: Pipe | None = None
    try:
        if is_stream(path):
            pipe = Pipe(_pipe_file(path))
            head = pipe.head
        else:
            head = _head(path)
        container = _open(pipe or for_ffmpeg(path), hwaccel, format_name)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        again = for_ffmpeg(path)
        said = None if pipe else last_ffmpeg_line(lambda: _open(again, None, format_name).close())
        detail = reason(error) + (f" ({said})" if said else "")
        raise MediaError(f"cannot read {name} as a video: {detail}") from None
    once = pipe is not None or is_address(path)
    if container.format.name != "mpegts":
        return Opened(container, name, once, pipe=pipe)
    found = tuple(programmes_in(head))
    return Opened(container, name, once, found, scrambled_pids(head), pipe)


def _pipe_file(path: PathLike) -> BinaryIO:
    return sys.stdin.buffer if is_standard(path) else Path(path).open("rb", buffering=0)


def _head(path: PathLike) -> bytes:
    if is_address(path):
        return b""
    with Path(path).open("rb") as file:
        head = file.read(_PROBE)
        if not head:
            raise ValueError("it is empty")
        return head + file.read(HEAD_BYTES) if is_transport_stream(head) else head


def _open(file: str | Pipe, hwaccel: HWAccel | None, format_name: str | None) -> InputContainer:
    return pyav.open_input(file, format=format_name, options=LITERAL, hwaccel=hwaccel)


def programme_of(opened: Opened, asked: int | None) -> Programme | None:
    """The programme to read: the one asked for, else the first that has a picture."""
    if asked is not None:
        for programme in opened.programmes:
            if programme.number == asked:
                return programme
        numbers = ", ".join(str(programme.number) for programme in opened.programmes) or "none"
        raise UsageError(f"{opened.name} has no programme {asked}; it has {numbers}")
    pictures = {stream.id for stream in opened.container.streams.video}
    return next((found for found in opened.programmes if found.pids & pictures), None)


def main_video_stream(opened: Opened, programme: Programme | None = None) -> VideoStream:
    """The first video stream that is not a cover picture, of the programme if there is one."""
    for stream in opened.container.streams.video:
        if not is_cover(stream) and belongs(stream, programme):
            _refuse_encrypted(opened, stream)
            return stream
    raise MediaError(f"{opened.name} has no video stream")


def belongs(stream: Stream, programme: Programme | None) -> bool:
    """Whether a stream is of this programme; all are where there are no programmes."""
    return programme is None or stream.id in programme.pids


def is_cover(stream: Stream) -> bool:
    """Whether a video stream is a cover picture."""
    return bool(stream.disposition & Disposition.attached_pic)


def encrypted(name: str) -> MediaError:
    """The error for what nobody can read without a key."""
    return MediaError(f"{name} is encrypted; decrypt it first, keeprt has no keys")


def _refuse_encrypted(opened: Opened, stream: VideoStream) -> None:
    if stream.codec_context is None:
        raise MediaError(f"{opened.name}: there is no decoder for its video codec")
    if stream.id in opened.scrambled:
        raise encrypted(opened.name)
