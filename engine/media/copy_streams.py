"""Sound, subtitles and data, copied from the source into the output packet by packet."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard, Stream
from av.subtitles.stream import SubtitleStream

from keeprt.engine.errors import MediaError
from keeprt.engine.media.errors import PathLike, display_name, reason
from keeprt.engine.media.video_file import open_container

log = logging.getLogger(__name__)

_TEXT_CODECS = frozenset({"srt", "subrip", "ass", "ssa", "webvtt", "mov_text", "text"})
_TEXT_CODEC_OF = {".mp4": "mov_text", ".m4v": "mov_text", ".mov": "mov_text", ".webm": "webvtt"}
_DATA_SUFFIXES = (".ts",)
# Written by muxers about the file that they wrote, wrong in any other.
_OWN_METADATA = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "duration", "vendor_id"}
)


@dataclass(frozen=True)
class Route:
    """Where a source stream's packets go, and by how many of its ticks they move."""

    target: Stream
    shift: int
    transcode: bool = False


def kept_metadata(metadata: dict[str, str]) -> dict[str, str]:
    """Metadata without what only told of the source file itself."""
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in _OWN_METADATA and not key.startswith("_STATISTICS")
    }


class StreamCopier:
    """Copies every stream that is not video; packets stay as they are, in step with the video.

    Text subtitles that the container cannot hold are rewritten in its own text format. `dropped`
    names what was left out because no output holds it there: cover pictures, data streams.
    """

    def __init__(self, source: PathLike, start_s: float, trim_s: float, end_s: float | None):
        """Times in the source's clock: keep `start_s` to `end_s`, and move all by `-trim_s`."""
        self.name = display_name(source)
        self.container: InputContainer = open_container(source)
        self.dropped: list[str] = []
        self._trim_s, self._start_s, self._end_s = trim_s, start_s, end_s
        self._routes: dict[int, Route] = {}
        self._packets: Iterator[Packet[Stream]] = iter(())
        self._pending: Packet[Stream] | None = None

    def time_bases(self) -> list[Fraction]:
        """The time bases of the sound, for the muxer's timescale."""
        return [s.time_base for s in self.container.streams.audio if s.time_base is not None]

    def connect(self, output: OutputContainer, path: Path) -> None:
        """Add an output stream for each source stream; MediaError for sound that does not fit."""
        main = next(iter(self.container.streams.video), None)
        for stream in self.container.streams:
            if stream.type in ("audio", "subtitle"):
                self._routes[stream.index] = self._route(output, stream, path)
            elif stream.type == "data" and path.suffix.lower() in _DATA_SUFFIXES:
                target = output.add_stream_from_template(stream)
                self._routes[stream.index] = Route(target, self._shift(stream))
            else:
                if stream is not main:
                    self.dropped.append(f"{stream.type} stream {stream.index}")
                stream.discard = Discard.all
        if self.dropped:
            log.warning("%s cannot take over from %s: %s", path.name, self.name, self.dropped)
        output.metadata.update(kept_metadata(self.container.metadata))
        if not self._trim_s and self._end_s is None:
            output.set_chapters(self.container.chapters())
        if self._trim_s:
            self.container.seek(int(self._start_s * av.time_base))
        if self._routes:
            self._packets = self.container.demux([self.container.streams[i] for i in self._routes])

    def pump(self, output: OutputContainer, until_s: float | None) -> None:
        """Write the packets up to `until_s` of the output's clock; None writes all the rest."""
        while True:
            packet = self._pending or self._next()
            self._pending = None
            if packet is None:
                return
            if until_s is not None and self._time_s(packet) > until_s:
                self._pending = packet
                return
            route = self._routes[packet.stream_index]
            ready = _rewritten(packet, route.target) if route.transcode else packet
            if ready is not None:
                ready.stream = route.target
                output.mux_one(ready)

    def close(self) -> None:
        """Release the source."""
        self.container.close()

    def _route(self, output: OutputContainer, stream: Stream, path: Path) -> Route:
        codec = stream.codec_context.name if stream.codec_context else "unknown"
        transcode = False
        try:
            target: Stream = output.add_stream_from_template(stream)
        except ValueError:
            into = _TEXT_CODEC_OF.get(path.suffix.lower(), "subrip")
            if stream.type != "subtitle" or codec not in _TEXT_CODECS:
                raise MediaError(
                    f"a {path.suffix} file cannot hold the {codec} {stream.type} of {self.name}; "
                    "write a .mkv file"
                ) from None
            transcode = True
            target = _text_stream(output, stream, into)
        target.metadata.update(kept_metadata(stream.metadata))
        target.disposition = stream.disposition
        return Route(target, self._shift(stream), transcode)

    def _shift(self, stream: Stream) -> int:
        return round(self._trim_s / stream.time_base) if stream.time_base else 0

    def _next(self) -> Packet[Stream] | None:
        while True:
            try:
                packet = next(self._packets, None)
            except av.error.FFmpegError as error:
                raise MediaError(
                    f"{self.name}: its sound or subtitles are damaged: {reason(error)}"
                ) from error
            if packet is None:
                return None
            if packet.dts is None or packet.pts is None or not self._wanted(packet):
                continue
            shift = self._routes[packet.stream_index].shift
            packet.pts -= shift
            packet.dts -= shift
            return packet

    def _wanted(self, packet: Packet[Stream]) -> bool:
        assert packet.pts is not None
        begin_s = float(packet.pts * packet.time_base)
        after_s = begin_s + float((packet.duration or 0) * packet.time_base)
        if self._trim_s and after_s <= self._start_s:
            return False
        return self._end_s is None or begin_s < self._end_s

    @staticmethod
    def _time_s(packet: Packet[Stream]) -> float:
        return float((packet.dts or 0) * packet.time_base)


def _text_stream(output: OutputContainer, stream: Stream, codec: str) -> Stream:
    """A text subtitle stream whose encoder has the styles that the source's decoder reports."""
    assert isinstance(stream, SubtitleStream)
    source = stream.codec_context
    source.open(strict=False)
    target = output.add_stream(codec)
    assert isinstance(target, SubtitleStream)
    target.codec_context.subtitle_header = source.subtitle_header
    target.codec_context.time_base = Fraction(1, 1000)
    target.time_base = stream.time_base
    return target


def _rewritten(packet: Packet[Stream], target: Stream) -> Packet[Stream] | None:
    """The subtitle in the target's format; None for the empty ones that MP4 fills gaps with."""
    assert isinstance(target, SubtitleStream) and isinstance(packet.stream, SubtitleStream)
    subtitle = packet.stream.codec_context.decode2(packet)
    if subtitle is None or len(subtitle) == 0:
        return None
    text = target.codec_context.encode_subtitle(subtitle)
    text.pts, text.dts = packet.pts, packet.pts
    text.duration, text.time_base = packet.duration, packet.time_base
    return text
