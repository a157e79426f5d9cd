"""The containers that can be written and what each of them can say: one table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from keeprt.engine.errors import UsageError


@dataclass(frozen=True)
class Container:
    """One kind of file. muxer: FFmpeg's name. rotation: it has a display matrix. times: it keeps
    presentation times, one each. text: its own subtitle format. streams: it can be written to a
    pipe. covers: how a cover picture is kept. tags: it keeps a title and other text."""

    suffix: str
    muxer: str
    rotation: bool = False
    times: bool = True
    text: str | None = None
    streams: bool = False
    covers: str | None = None
    attachments: bool = False
    chapters: bool = False
    data: bool = False
    timecode: bool = False
    tags: bool = True

    @property
    def is_mov(self) -> bool:
        """Whether this is of the family of ISO/IEC 14496-12."""
        return self.muxer in ("mp4", "mov")


_MP4 = Container(
    ".mp4", "mp4", rotation=True, text="mov_text", covers="stream", chapters=True, timecode=True
)
_ALL = (
    _MP4,
    Container(
        ".m4v", "mp4", rotation=True, text="mov_text", covers="stream", chapters=True, timecode=True
    ),
    Container(".mov", "mov", rotation=True, text="mov_text", chapters=True, timecode=True),
    Container(
        ".mkv",
        "matroska",
        rotation=True,
        text="subrip",
        streams=True,
        covers="attachment",
        attachments=True,
        chapters=True,
        timecode=True,
    ),
    Container(".webm", "webm", text="webvtt", chapters=True),
    Container(".ts", "mpegts", streams=True, data=True, tags=False),
    Container(".mxf", "mxf", times=False, timecode=True, tags=False),
)
#: By suffix. AVI keeps no presentation times and cannot be written.
CONTAINERS = {container.suffix: container for container in _ALL}
VIDEO_SUFFIXES = tuple(CONTAINERS)
_BY_MUXER = {container.muxer: container for container in reversed(_ALL)}


def container_of(path: str, format_name: str | None = None) -> Container:
    """The container of a file name or, where there is none to see, of FFmpeg's `format_name`."""
    if format_name is not None:
        return _named(format_name)
    suffix = Path(path).suffix.lower()
    if suffix not in CONTAINERS:
        raise UsageError(
            f"{path}: cannot write {suffix or 'such'} video; use {', '.join(CONTAINERS)} "
            "or a folder name for images"
        )
    return CONTAINERS[suffix]


def _named(format_name: str) -> Container:
    found = _BY_MUXER.get(format_name) or CONTAINERS.get(f".{format_name}")
    if found is None:
        raise UsageError(f"unknown format {format_name!r}; there is {', '.join(_BY_MUXER)}")
    return found
