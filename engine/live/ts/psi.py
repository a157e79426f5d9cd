"""The tables that say what a transport stream holds: PAT and PMT, with their checksums.

Interface: `Program().push(packet, pid)` for packets of `PAT_PID` and `program.pmt_pid`; then
`program.video`, `program.pcr_pid` and `program.streams` are known, `program.versions` counts how
often they changed. `Sections().push(packet)` gives the whole sections of any table PID;
`with_stream_type(packet, pid, stream_type)` is a PMT that names another codec.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from keeprt.engine.errors import UsageError
from keeprt.engine.live.ts.packets import payload_of

PAT_PID = 0
_LONG_TABLE = "a PMT of several packets is passed as it is: keep the source's codec (--codec)"
#: By stream_type; what the wire can decode.
VIDEO_CODECS = {0x02: "mpeg2video", 0x1B: "h264", 0x24: "hevc"}
#: MPEG, AAC, AC-3; and of private data the descriptors of AC-3, DTS and AAC.
SOUND_TYPES, SOUND_DESCRIPTORS = (0x03, 0x04, 0x0F, 0x11, 0x81, 0x87), (0x6A, 0x7A, 0x7B, 0x7C)


@dataclass(frozen=True)
class ElementaryStream:
    """One stream of a programme, as its PMT lists it."""

    pid: int
    stream_type: int
    descriptors: bytes

    @property
    def video_codec(self) -> str | None:
        """FFmpeg's name; None for what is no video, or cannot be decoded."""
        return VIDEO_CODECS.get(self.stream_type)

    @property
    def is_sound(self) -> bool:
        """Whether it is heard, as far as its type and its first descriptor tell."""
        private = self.stream_type == 0x06 and self.descriptors[:1]
        return self.stream_type in SOUND_TYPES or (
            bool(private) and self.descriptors[0] in SOUND_DESCRIPTORS
        )


class Sections:
    """Puts the sections of one PID together; what is damaged is left out and counted."""

    def __init__(self) -> None:
        self._held: bytearray | None = None
        self.damaged = 0

    def push(self, packet: bytes) -> list[bytes]:
        """Takes the next packet of the tables' PID; gives the sections that are whole."""
        payload = payload_of(packet)
        if packet[1] & 0x40 and payload:
            pointer = payload[0]
            before, payload = payload[1 : 1 + pointer], payload[1 + pointer :]
            whole = list(self._more(before)) if self._held is not None else []
            self._held = bytearray()
            return whole + list(self._more(payload))
        return list(self._more(payload)) if self._held is not None else []

    def _more(self, data: bytes) -> Iterator[bytes]:
        held = self._held
        assert held is not None
        held += data
        while len(held) >= 3 and held[0] != 0xFF:
            size = 3 + ((held[1] & 15) << 8 | held[2])
            if len(held) < size:
                return
            section = bytes(held[:size])
            del held[:size]
            if section[1] & 0x80 and crc32_mpeg(section):
                self.damaged += 1
            else:
                yield section
        if held and held[0] == 0xFF:
            self._held = None


class Program:
    """The first programme of a stream, or the one of `number`."""

    def __init__(self, number: int | None = None) -> None:
        self.number = number
        self.pmt_pid: int | None = None
        self.pcr_pid: int | None = None
        self.streams: tuple[ElementaryStream, ...] = ()
        self.versions = 0
        self.pat, self.pmt = Sections(), Sections()

    @property
    def video(self) -> ElementaryStream | None:
        """The stream of the picture, None where there is none."""
        return next((s for s in self.streams if s.video_codec), None)

    def push(self, packet: bytes, pid: int) -> None:
        """Takes a packet of the tables; changes the programme where a table did."""
        if pid == PAT_PID:
            for section in self.pat.push(packet):
                self._associations(section)
        elif pid == self.pmt_pid:
            for section in self.pmt.push(packet):
                self._map(section)

    def _associations(self, section: bytes) -> None:
        if not _holds_now(section, 0):
            return
        for at in range(8, len(section) - 7, 4):
            number = section[at] << 8 | section[at + 1]
            if number and self.number in (None, number):
                pid = (section[at + 2] & 0x1F) << 8 | section[at + 3]
                if pid != self.pmt_pid:
                    self.pmt_pid, self.pmt = pid, Sections()
                return

    def _map(self, section: bytes) -> None:
        if not _holds_now(section, 2):
            return
        pcr_pid = (section[8] & 0x1F) << 8 | section[9]
        streams = tuple(_streams(section))
        if (pcr_pid, streams) != (self.pcr_pid, self.streams):
            self.pcr_pid, self.streams = pcr_pid, streams
            self.versions += 1


def with_stream_type(packet: bytes, pid: int, stream_type: int) -> bytes:
    """A PMT's packet with the codec of one of its streams exchanged, and its checksum.

    Raises UsageError for a table of more than one packet.
    """
    start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    if not packet[1] & 0x40:
        raise UsageError(_LONG_TABLE)
    start += 1 + packet[start]
    size = 3 + ((packet[start + 1] & 15) << 8 | packet[start + 2])
    if start + size > len(packet):
        raise UsageError(_LONG_TABLE)
    section = bytearray(packet[start : start + size])
    at, end = 12 + ((section[10] & 15) << 8 | section[11]), size - 4
    while at + 5 <= end:
        if (section[at + 1] & 0x1F) << 8 | section[at + 2] == pid:
            section[at] = stream_type
        at += 5 + ((section[at + 3] & 15) << 8 | section[at + 4])
    section[-4:] = crc32_mpeg(bytes(section[:-4])).to_bytes(4, "big")
    return packet[:start] + bytes(section) + packet[start + size :]


def _holds_now(section: bytes, table: int) -> bool:
    whole = len(section) >= 12 and section[0] == table and bool(section[1] & 0x80)
    return whole and bool(section[5] & 1)


def _streams(section: bytes) -> Iterator[ElementaryStream]:
    at, end = 12 + ((section[10] & 15) << 8 | section[11]), len(section) - 4
    while at + 5 <= end:
        size = (section[at + 3] & 15) << 8 | section[at + 4]
        pid = (section[at + 1] & 0x1F) << 8 | section[at + 2]
        yield ElementaryStream(pid, section[at], section[at + 5 : min(end, at + 5 + size)])
        at += 5 + size


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 1 << 31 else 0)) & 0xFFFFFFFF
        table.append(value)
    return tuple(table)


_CRC = _crc_table()


def crc32_mpeg(data: bytes) -> int:
    """The checksum of a section without its last four bytes; 0 of one with them, if undamaged."""
    value = 0xFFFFFFFF
    for byte in data:
        value = (value << 8 & 0xFFFFFFFF) ^ _CRC[value >> 24 ^ byte]
    return value
