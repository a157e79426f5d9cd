"""SCTE-35 splice information: its times move with the time line, by the field made for that."""

from __future__ import annotations

from keeprt.engine.live.timeline import WRAP
from keeprt.engine.live.ts.psi import crc32_mpeg

TABLE = 0xFC
_LEAST_BYTES = 20


def is_splice_info(packet: bytes) -> bool:
    """Whether a splice_info_section begins in this packet and ends in it."""
    start = _section(packet)
    return start is not None and packet[start] == TABLE and start + _size(packet, start) <= 188


def moved_splice(packet: bytes, ticks: int) -> bytes:
    """The packet with its pts_adjustment moved by ticks of 90 kHz, and its checksum."""
    start = _section(packet)
    assert start is not None
    section = bytearray(packet[start : start + _size(packet, start)])
    value = ((section[4] & 1) << 32 | int.from_bytes(section[5:9], "big")) + ticks
    section[4] = section[4] & 0xFE | value % WRAP >> 32
    section[5:9] = (value & 0xFFFFFFFF).to_bytes(4, "big")
    section[-4:] = crc32_mpeg(bytes(section[:-4])).to_bytes(4, "big")
    return packet[:start] + bytes(section) + packet[start + len(section) :]


def _section(packet: bytes) -> int | None:
    """Where the first section of the packet begins."""
    start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    if not packet[1] & 0x40 or not packet[3] & 0x10 or start >= 187:
        return None
    start += 1 + packet[start]
    return start if start + _LEAST_BYTES <= 188 else None


def _size(packet: bytes, start: int) -> int:
    return 3 + ((packet[start + 1] & 15) << 8 | packet[start + 2])
