"""Sound, subtitles, data, covers and chapters into the output, in step with the picture."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import av.error
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Stream
from av.subtitles.stream import SubtitleStream

from keeprt.engine.media.containers import Container
from keeprt.engine.media.errors import reason
from keeprt.engine.media.pyav import fraction
from keeprt.engine.media.reading.demux import AnyPacket
from keeprt.engine.media.source import Others
from keeprt.engine.media.streams.chapters import kept_chapters
from keeprt.engine.media.streams.holds import TELETEXT, codec_of
from keeprt.engine.media.streams.plan import Decision
from keeprt.engine.media.streams.sound import SoundEncoder, adts_config, layout_of
from keeprt.engine.media.streams.tags import kept_metadata

log = logging.getLogger(__name__)

_PICTURE_TYPES = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}


@dataclass
class Route:
    """Where a source stream's packets go, and by how many of its ticks they move back."""

    target: Stream
    shift: int
    rewrites: bool = False
    encoder: SoundEncoder | None = None
    last: int | None = None
    left_out: int = 0


@dataclass(frozen=True)
class Span:
    """What is written, on the source's clock, and by how much all of it moves back, in seconds."""

    begin_s: float
    end_s: float | None
    shift_s: float
    is_part: bool


class StreamCopier:
    """Carries out the decisions; copied packets stay as they are but for their times.

    `shared`: the packets come from the reader of the picture; else they are read here.
    """

    def __init__(self, others: Others, decisions: list[Decision], span: Span, shared: bool) -> None:
        self._others, self._decisions, self._span, self._shared = others, decisions, span, shared
        self._routes: dict[int, Route] = {}
        self._pending: AnyPacket | None = None
        self._one_way = False

    @property
    def picture(self) -> Stream | None:
        """The source's stream that is restored; None if it has sound alone."""
        return self._others.demuxer.video

    def time_bases(self) -> list[Fraction]:
        """The time bases of the sound, for the muxer's timescale."""
        sounds = (d.stream for d in self._decisions if d.stream.type == "audio")
        return [base for stream in sounds if (base := fraction(stream.time_base))]

    def connect(self, output: OutputContainer, container: Container, one_way: bool) -> None:
        """Adds an output stream for each that is kept; the picture's must be there already.
        one_way: the muxer cannot go back to its header."""
        self._one_way = one_way
        for decision in self._decisions:
            if decision.action in ("copy", "rewrite", "encode"):
                self._routes[decision.stream.index] = self._route(output, decision)
            elif decision.action == "attach":
                self._attach(output, decision.stream)
        source = self._others.opened.container
        output.metadata.update(kept_metadata(source.metadata))
        if container.chapters:
            span = self._span
            begin_s = span.begin_s if span.is_part else float("-inf")
            chapters = kept_chapters(source.chapters(), begin_s, span.end_s, span.shift_s)
            if chapters:
                output.set_chapters(chapters)
        self._others.demuxer.feed.choose(self._routes)
        if self._span.is_part:
            self._others.demuxer.feed.begin(self._span.begin_s)

    def pump(self, output: OutputContainer, until_s: float | None) -> None:
        """Writes the packets up to `until_s` of the output's clock; None writes all the rest."""
        if not self._routes:
            return
        while True:
            packet = self._pending or self._next(to_the_end=until_s is None)
            self._pending = None
            if packet is None:
                break
            route = self._routes[packet.stream.index]
            if until_s is not None and self._time_s(packet, route) > until_s:
                self._pending = packet
                break
            self._write(output, packet, route)
        if until_s is None:
            self._finish(output)

    def _next(self, to_the_end: bool) -> AnyPacket | None:
        feed = self._others.demuxer.feed
        while True:
            read = to_the_end or not self._shared
            packet = feed.take_or_read() if read else feed.take()
            if packet is None:
                return None
            if packet.dts is None and packet.pts is None:
                self._after_the_last(packet)
            if self._is_behind(packet) and to_the_end and self._all_ended(packet):
                return None
            if not self._is_behind(packet) and not self._is_before(packet):
                return packet

    def _after_the_last(self, packet: AnyPacket) -> None:
        route = self._routes[packet.stream.index]
        last = 0 if route.last is None else route.last + route.shift
        packet.pts = packet.dts = last + (packet.duration or 1)

    def _is_before(self, packet: AnyPacket) -> bool:
        if not self._span.is_part:
            return False
        return self._begin_s(packet) + self._length_s(packet) <= self._span.begin_s

    def _is_behind(self, packet: AnyPacket) -> bool:
        return self._span.end_s is not None and self._begin_s(packet) >= self._span.end_s

    def _all_ended(self, packet: AnyPacket) -> bool:
        """Sound lies near its picture in a file: a second behind the end no more is expected."""
        assert self._span.end_s is not None
        return self._begin_s(packet) >= self._span.end_s + 2.0

    @staticmethod
    def _begin_s(packet: AnyPacket) -> float:
        at = packet.pts if packet.pts is not None else packet.dts
        return float((at or 0) * packet.time_base)

    @staticmethod
    def _length_s(packet: AnyPacket) -> float:
        return float((packet.duration or 0) * packet.time_base)

    @staticmethod
    def _time_s(packet: AnyPacket, route: Route) -> float:
        at = packet.dts if packet.dts is not None else packet.pts
        return float(((at or 0) - route.shift) * packet.time_base)

    def _write(self, output: OutputContainer, packet: AnyPacket, route: Route) -> None:
        if route.encoder is not None:
            self._encode(output, packet, route)
            return
        packet.pts = (packet.pts if packet.pts is not None else packet.dts or 0) - route.shift
        packet.dts = packet.pts if packet.dts is None else packet.dts - route.shift
        if packet.stream.type == "audio" and route.last is not None and packet.dts <= route.last:
            route.left_out += 1
            return
        route.last = packet.dts
        ready = _rewritten(packet, route.target) if route.rewrites else packet
        if ready is not None:
            ready.stream = route.target
            output.mux_one(ready)

    def _encode(self, output: OutputContainer, packet: AnyPacket, route: Route) -> None:
        assert route.encoder is not None
        try:
            ready = route.encoder.push(cast("Packet[AudioStream]", packet), route.shift)
        except av.error.FFmpegError as error:
            demuxer = self._others.demuxer
            demuxer.damage.report(f"its sound: {reason(error)}", demuxer.frames, error)
            return
        for one in ready:
            output.mux_one(one)

    def _finish(self, output: OutputContainer) -> None:
        for index, route in self._routes.items():
            if route.encoder is not None:
                for packet in route.encoder.finish():
                    output.mux_one(packet)
            if route.left_out:
                log.warning(
                    "stream %d: %d packets of sound overlapped at a join and are left out",
                    index,
                    route.left_out,
                )

    def _route(self, output: OutputContainer, decision: Decision) -> Route:
        stream = decision.stream
        base = fraction(stream.time_base)
        shift = round(self._span.shift_s / base) if base else 0
        if decision.action == "encode":
            encoder = SoundEncoder(cast(AudioStream, stream), output)
            target: Stream = encoder.target
            route = Route(target, shift, encoder=encoder)
        elif decision.action == "rewrite":
            route = Route(_text_stream(output, stream, decision.into), shift, rewrites=True)
        else:
            first = self._others.demuxer.feed.peek(stream.index) if self._one_way else None
            route = Route(_copied_stream(output, stream, first), shift)
        route.target.metadata.update(kept_metadata(stream.metadata))
        route.target.disposition = stream.disposition
        return route

    def _attach(self, output: OutputContainer, stream: Stream) -> None:
        if isinstance(stream, AttachmentStream):
            name = stream.name or stream.metadata.get("filename") or f"attachment {stream.index}"
            kind = stream.mimetype or "application/octet-stream"
            output.add_attachment(name, kind, stream.data)
            return
        data = self._others.demuxer.feed.peek(stream.index)
        codec = codec_of(stream)
        if data is not None and codec in _PICTURE_TYPES:
            output.add_attachment(*_PICTURE_TYPES[codec], data)


def _copied_stream(output: OutputContainer, stream: Stream, first: bytes | None) -> Stream:
    if codec_of(stream) == "unknown" and stream.type == "subtitle":
        return output.add_mux_stream(TELETEXT)
    target: Stream = output.add_stream_from_template(stream)
    if isinstance(stream, AudioStream) and isinstance(target, AudioStream):
        usual = layout_of(stream)
        if usual != stream.codec_context.layout.name:
            target.codec_context.layout = usual
        config = adts_config(first) if output.format.name == "matroska" else None
        if config is not None and not stream.codec_context.extradata:
            # The muxer finds this out by itself, but later than a pipe can take it.
            target.codec_context.extradata = config
    return target


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


def _rewritten(packet: AnyPacket, target: Stream) -> AnyPacket | None:
    """The subtitle in the target's format; None for the empty ones that MP4 fills gaps with."""
    assert isinstance(target, SubtitleStream) and isinstance(packet.stream, SubtitleStream)
    subtitle = packet.stream.codec_context.decode2(packet)
    if subtitle is None or len(subtitle) == 0:
        return None
    text = target.codec_context.encode_subtitle(subtitle)
    text.pts, text.dts = packet.pts, packet.pts
    text.duration, text.time_base = packet.duration, packet.time_base
    return text
