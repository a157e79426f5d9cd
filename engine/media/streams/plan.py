"""What becomes of each stream beside the picture, decided before any work."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from av.audio.stream import AudioStream
from av.stream import Stream

from keeprt.engine.errors import MediaError, UsageError
from keeprt.engine.media.containers import CONTAINERS, Container
from keeprt.engine.media.reading.container import belongs, is_cover
from keeprt.engine.media.reading.programmes import SPLICE_CUES
from keeprt.engine.media.source import Others
from keeprt.engine.media.streams.holds import KNOWN_TYPES, codec_of, holds

Action = Literal["copy", "rewrite", "encode", "attach", "drop", "leave"]
_TEXT = frozenset({"srt", "subrip", "ass", "ssa", "webvtt", "mov_text", "text"})
_ADVISED = (".mkv", ".mov", ".mp4", ".ts")
_INDEXES = re.compile(r"\d+(,\d+)*")


@dataclass(frozen=True)
class Wishes:
    """audio: "copy", "aac" (what is not AAC is encoded), "none", or numbers of sound streams from
    0, with commas between. subtitles: "copy" or "none"."""

    audio: str = "copy"
    subtitles: str = "copy"

    def __post_init__(self) -> None:
        if self.audio not in ("copy", "aac", "none") and not _INDEXES.fullmatch(self.audio):
            raise UsageError(
                f"audio is {self.audio!r}; give copy, aac, none, or numbers such as 0 or 0,2"
            )
        if self.subtitles not in ("copy", "none"):
            raise UsageError(f"subtitles is {self.subtitles!r}; give copy or none")

    @property
    def sound_numbers(self) -> frozenset[int] | None:
        """Which sound streams were asked for by number, None for all."""
        if not self.audio[0].isdigit():
            return None
        return frozenset(int(number) for number in self.audio.split(","))


@dataclass(frozen=True)
class Decision:
    """One stream's fate. "leave": it is not wanted, or kept in another way, and not a loss."""

    stream: Stream
    action: Action
    into: str = ""
    why: str = ""

    @property
    def loss(self) -> str | None:
        """One line that names what is dropped; None if nothing is."""
        if self.action != "drop":
            return None
        known = self.stream.type in KNOWN_TYPES
        kind = f"{codec_of(self.stream)} {self.stream.type} " if known else ""
        return f"{kind}stream {self.stream.index}: {self.why}"


def plan_streams(
    others: Others, container: Container, wishes: Wishes, title: str
) -> list[Decision]:
    """A decision for every stream but the picture's.

    Raises MediaError for sound that the container cannot hold, UsageError for a number of a sound
    stream that is not there.
    """
    streams = [s for s in others.opened.container.streams if s is not others.demuxer.video]
    inside = [stream for stream in streams if belongs(stream, others.programme)]
    _check_numbers(inside, wishes, others.opened.name)
    planner = _Planner(container, wishes, others, title)
    sounds = [stream for stream in inside if stream.type == "audio"]
    numbers = {stream.index: number for number, stream in enumerate(sounds)}
    decisions = [planner.decide(stream, numbers.get(stream.index, 0)) for stream in inside]
    outside = (stream for stream in streams if stream not in inside)
    why = "it is of another programme (--programme)"
    return decisions + [Decision(stream, "drop", why=why) for stream in outside]


def _check_numbers(streams: Iterable[Stream], wishes: Wishes, name: str) -> None:
    there = sum(stream.type == "audio" for stream in streams)
    if wishes.sound_numbers and max(wishes.sound_numbers) >= there:
        raise UsageError(
            f"{name} has {there} sound streams, there is no number {max(wishes.sound_numbers)} "
            "(they count from 0)"
        )


class _Planner:
    def __init__(self, container: Container, wishes: Wishes, others: Others, title: str) -> None:
        self._container, self._wishes, self._title = container, wishes, title
        self._name = others.opened.name
        source = others.opened.container
        self._stream_types = others.programme.types if others.programme else {}
        self._keeps_chapters = source.format.name.startswith("mov") and bool(source.chapters())

    def decide(self, stream: Stream, number: int) -> Decision:
        if isinstance(stream, AudioStream):
            return self._sound(stream, number)
        if stream.type == "subtitle":
            return self._subtitle(stream)
        if stream.type == "attachment":
            keeps = self._container.attachments
            return Decision(stream, "attach") if keeps else self._drop(stream)
        if stream.type == "video":
            return self._picture(stream)
        return self._data(stream)

    def _sound(self, stream: AudioStream, number: int) -> Decision:
        wishes = self._wishes
        chosen = wishes.sound_numbers is None or number in wishes.sound_numbers
        if wishes.audio == "none" or not chosen:
            return Decision(stream, "leave")
        if not stream.codec_context or not stream.codec_context.sample_rate:
            return self._drop(stream, "it is announced, but none of it comes")
        if wishes.audio == "aac" and codec_of(stream) != "aac":
            return Decision(stream, "encode", "aac")
        if holds(self._container.muxer, stream):
            return Decision(stream, "copy")
        raise MediaError(
            f"{self._title} cannot hold the {codec_of(stream)} sound of {self._name} "
            f"(stream {stream.index}); {self._advice(stream)}"
        )

    def _advice(self, stream: Stream) -> str:
        fit = next((s for s in _ADVISED if holds(CONTAINERS[s].muxer, stream)), None)
        other = f"write a {fit} file, or " if fit else ""
        encode = "" if self._container.muxer in ("webm", "mxf") else "--audio aac encodes it anew, "
        return f"{other}{encode}--audio none leaves it out"

    def _subtitle(self, stream: Stream) -> Decision:
        if self._wishes.subtitles == "none":
            return Decision(stream, "leave")
        if holds(self._container.muxer, stream):
            return Decision(stream, "copy")
        if codec_of(stream) in _TEXT and self._container.text is not None:
            return Decision(stream, "rewrite", self._container.text)
        return self._drop(stream)

    def _picture(self, stream: Stream) -> Decision:
        if not is_cover(stream):
            return self._drop(stream, "only the first picture is restored")
        if self._container.covers == "stream" and holds(self._container.muxer, stream):
            return Decision(stream, "copy")
        if self._container.covers == "attachment":
            return Decision(stream, "attach")
        return self._drop(stream)

    def _data(self, stream: Stream) -> Decision:
        if self._container.data and holds(self._container.muxer, stream):
            return Decision(stream, "copy")
        if "timecode" in stream.metadata and self._container.timecode:
            return Decision(stream, "leave")
        # The text track in which MP4 keeps chapters is read and written as chapters.
        if self._keeps_chapters and stream.name == "bin_data" and self._container.chapters:
            return Decision(stream, "leave")
        return self._drop(stream, self._cues(stream))

    def _cues(self, stream: Stream) -> str:
        if self._stream_types.get(stream.id) != SPLICE_CUES:
            return ""
        return f"it is SCTE-35, which a {self._container.suffix} cannot hold"

    def _drop(self, stream: Stream, why: str = "") -> Decision:
        return Decision(stream, "drop", why=why or f"a {self._container.suffix} cannot hold it")
