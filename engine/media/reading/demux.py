"""Packets with true times: the picture's to the decoder, all others to whoever asked for them."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Literal, TypeAlias, cast

import av
import av.error
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from keeprt.engine.media.errors import reason
from keeprt.engine.media.pyav import fraction
from keeprt.engine.media.reading.container import Opened, encrypted
from keeprt.engine.media.reading.damage import Damage
from keeprt.engine.media.time_map import Clock, Stamp, TimeMap

log = logging.getLogger(__name__)

AnyPacket: TypeAlias = "Packet[Stream]"
# Containers with a clock that begins anywhere, wraps, and may change with the programme.
FREE_CLOCK = ("mpegts", "mpeg")
_MPEG_CLOCK_BITS = 33
# Packets of one picture unit after which a join may still follow.
_BEFORE_A_JOIN = 8
_MOST_ERRORS_IN_A_ROW = 100
# PyAV's name of what a packet carries that needs a key (ISO/IEC 23001-7).
_LOCKED: Literal["encryption_info"] = "encryption_info"


class PacketFeed:
    """Packets of the streams that someone asked for, in the order of the file.

    What is read before `choose` is kept, for the reader looks at the first frame before anyone can
    ask; `nobody` says that nobody will.
    """

    def __init__(self, read_on: Callable[[], bool]) -> None:
        self._queue: deque[AnyPacket] = deque()
        self._wanted: frozenset[int] | None = None
        self._read_on = read_on
        self._begin_s = -math.inf

    def offer(self, packet: AnyPacket) -> None:
        """From the reader, for any packet that is not the picture's."""
        if self._wanted is not None and packet.stream.index not in self._wanted:
            return
        if self._begin_s == -math.inf or _end_s(packet) > self._begin_s:
            self._queue.append(packet)

    def wants(self, packet: AnyPacket) -> bool:
        """Whether someone has asked for packets of this stream."""
        return self._wanted is not None and packet.stream.index in self._wanted

    def begin(self, begin_s: float) -> None:
        """Packets that end before this are not kept: nobody waits for them."""
        self._begin_s = begin_s
        self._queue = deque(p for p in self._queue if _end_s(p) > begin_s)

    def choose(self, indexes: Iterable[int]) -> None:
        """From here on only these streams' packets are kept."""
        self._wanted = frozenset(indexes)
        self._queue = deque(p for p in self._queue if p.stream.index in self._wanted)
        locked = next((p for p in self._queue if p.has_sidedata(_LOCKED)), None)
        if locked is not None:
            raise encrypted(f"the {locked.stream.type} (stream {locked.stream.index})")

    def nobody(self) -> None:
        """Keeps nothing, unless someone has asked."""
        if self._wanted is None:
            self.choose(())

    def take(self) -> AnyPacket | None:
        """The next packet that has been read; None if there is none yet."""
        return self._queue.popleft() if self._queue else None

    def take_or_read(self) -> AnyPacket | None:
        """The next packet, reading on for it; None at the end of the input."""
        while not self._queue:
            if not self._read_on():
                return None
        return self._queue.popleft()

    def peek(self, index: int) -> bytes | None:
        """The bytes of a stream's first packet, where it came before the first picture."""
        found = (bytes(p) for p in self._queue if p.stream.index == index and p.size)
        return next(found, None)

    def clear(self) -> None:
        """After a seek: what was read before belongs to another place."""
        self._queue.clear()


def _end_s(packet: AnyPacket) -> float:
    at = packet.pts if packet.pts is not None else packet.dts
    if at is None:
        return math.inf
    return float((at + (packet.duration or 0)) * packet.time_base)


class Demuxer:
    """Reads a container packet by packet; from one thread at a time.

    `end_s` is the end of the latest packet in the file's own clock, for the check of the length.
    """

    def __init__(self, opened: Opened, video: VideoStream | None, damage: Damage) -> None:
        self.container, self.video, self.damage = opened.container, video, damage
        self._index = -1 if video is None else video.index
        self.name = opened.name
        self.video_packets, self.frames = 0, 0
        self.end_s = Fraction(0)
        self.feed = PacketFeed(self._read_for_feed)
        self._reading: Iterator[AnyPacket] = iter(())
        self._map = self._new_map()
        self._ended, self._errors = False, 0
        self._suspect: int | None = None
        self._flush: AnyPacket | None = None
        self.rewind()

    @property
    def free_clock(self) -> bool:
        """Whether the clock of this container may wrap and jump."""
        return self.container.format.name in FREE_CLOCK

    def rewind(self) -> None:
        """Begins to read where the container stands now."""
        self._reading = self.container.demux()
        self._map = self._new_map()
        self._ended, self._suspect, self._flush = False, None, None
        self.feed.clear()

    def video_times(self) -> Iterator[AnyPacket]:
        """The picture's packets to the end, then an empty one that empties the decoder."""
        while True:
            packets = self.read()
            if packets is None:
                break
            yield from packets
        if self._flush is not None:
            yield self._flush

    def read(self) -> list[AnyPacket] | None:
        """Reads one packet; those of the picture that are ready, None at the end."""
        if self._ended:
            return None
        packet = self._next()
        if packet is not None and packet.has_sidedata(_LOCKED) and self._is_used(packet):
            raise encrypted(self.name)
        if packet is None:
            self._ended = True
            return self._sorted(self._map.finish())
        if packet.stream.index == self._index and not packet.size and packet.dts is None:
            self._flush = packet
            return []
        if not packet.size and packet.dts is None:
            return []
        self._note(packet)
        return self._sorted(self._push(packet))

    def _is_used(self, packet: AnyPacket) -> bool:
        return packet.stream.index == self._index or self.feed.wants(packet)

    def _new_map(self) -> TimeMap:
        free = self.free_clock
        clocks = {
            stream.index: Clock(
                time_base,
                leads=stream.index == self._index,
                follows=stream.type not in ("video", "audio"),
            )
            for stream in self.container.streams
            if (time_base := fraction(stream.time_base))
        }
        return TimeMap(
            clocks,
            wrap_bits=_MPEG_CLOCK_BITS if free else None,
            leaps=free,
            origin_s=self._origin_s() if free else Fraction(0),
            on_jump=self._say_jump,
        )

    def _origin_s(self) -> Fraction:
        """Where a clock that begins anywhere begins: the first of picture and sound."""
        starts = [
            stream.start_time * time_base
            for stream in (self.video, *self.container.streams.audio)
            if stream is not None and stream.start_time is not None
            if (time_base := fraction(stream.time_base))
        ]
        return min(starts, default=Fraction(0))

    def _say_jump(self, at_s: Fraction) -> None:
        log.warning("%s: its clock jumps at %.3f s; both sides are joined", self.name, at_s)

    def _next(self) -> AnyPacket | None:
        while True:
            try:
                packet = next(self._reading, None)
            except av.error.FFmpegError as error:
                self.damage.report(reason(error), self.frames, error)
                self._errors += 1
                if self._errors > _MOST_ERRORS_IN_A_ROW:
                    return None
                self._reading = self.container.demux()
                continue
            self._errors = 0
            return packet

    def _note(self, packet: AnyPacket) -> None:
        if packet.stream.index == self._index:
            self.video_packets += packet.size > 0
        if packet.pts is not None and packet.time_base:
            end_s = (packet.pts + (packet.duration or 0)) * Fraction(packet.time_base)
            if end_s > self.end_s:
                self.end_s = end_s

    def _push(self, packet: AnyPacket) -> list[Stamp]:
        before = self._map.jumps
        stamp = Stamp(packet.stream.index, packet.pts, packet.dts, packet.duration or 0, packet)
        ready = self._map.push(stamp)
        if packet.stream.index == self._index:
            self._judge(packet, self._map.jumps > before)
        return ready

    def _judge(self, packet: AnyPacket, jumped: bool) -> None:
        """A packet that FFmpeg marks as incomplete just before a jump is only the cut of a join."""
        if jumped:
            self._suspect = None
        elif self._suspect is not None and self.video_packets - self._suspect > _BEFORE_A_JOIN:
            self.finish_suspect()
        if packet.is_corrupt and not jumped and self._suspect is None:
            self._suspect = self.video_packets

    def finish_suspect(self) -> None:
        """No jump has come that forgives an incomplete packet."""
        if self._suspect is not None:
            self._suspect = None
            self.damage.report("a packet is incomplete", self.frames)

    def _sorted(self, stamps: list[Stamp]) -> list[AnyPacket]:
        video: list[AnyPacket] = []
        for stamp in stamps:
            packet = cast(AnyPacket, stamp.payload)
            packet.pts, packet.dts = stamp.pts, stamp.dts
            if stamp.stream == self._index:
                video.append(packet)
            else:
                self.feed.offer(packet)
        return video

    def _read_for_feed(self) -> bool:
        return self.read() is not None
