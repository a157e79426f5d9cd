"""PES packets: the times in their headers, and one packet for each encoded picture.

Interface: `read_header(data)` of the first bytes of a PES packet, `pes_packet(...)` to make one,
`moved(packet, ticks)` for a transport packet whose times are moved with its time line.
"""

from __future__ import annotations

from dataclasses import dataclass

from keeprt.engine.live.timeline import WRAP
from keeprt.engine.live.ts.packets import pcr_bytes, pcr_of

LONGEST_KNOWN = 0xFFFF
#: stream_id without the header that holds times: maps, padding, private 2, ECM, EMM, directories.
_PLAIN = {0xBC, 0xBE, 0xBF, 0xF0, 0xF1, 0xF2, 0xF8, 0xFF}


@dataclass(frozen=True, slots=True)
class PesHeader:
    """`size`: bytes of the header; `total`: of the packet, None where its length is not given."""

    stream_id: int
    pts: int | None
    dts: int | None
    size: int
    total: int | None


def read_header(data: bytes) -> PesHeader | None:
    """None where these are no PES packet's first bytes, or too few."""
    if len(data) < 9 or data[:3] != b"\x00\x00\x01":
        return None
    length = data[4] << 8 | data[5]
    total = length + 6 if length else None
    if data[3] in _PLAIN:
        return PesHeader(data[3], None, None, 6, total)
    flags, size = data[7] >> 6, 9 + data[8]
    if data[6] >> 6 != 2 or len(data) < min(size, 19):
        return None
    pts = _time(data[9:14]) if flags & 2 and data[8] >= 5 else None
    dts = _time(data[14:19]) if flags == 3 and data[8] >= 10 else pts
    return PesHeader(data[3], pts, dts, size, total)


def pes_packet(data: bytes, pts: int, dts: int | None = None, *, stream_id: int = 0xE0) -> bytes:
    """An access unit as a PES packet; its length is given where 16 bits hold it."""
    if dts is None or dts == pts:
        times = b"\x84\x80\x05" + _time_bytes(2, pts)
    else:
        times = b"\x84\xc0\x0a" + _time_bytes(3, pts) + _time_bytes(1, dts)
    length = len(times) + len(data)
    known = length if length <= LONGEST_KNOWN else 0
    return b"\x00\x00\x01" + bytes((stream_id,)) + known.to_bytes(2, "big") + times + data


def moved(packet: bytes, ticks: int) -> bytes:
    """A transport packet with its PCR, PTS and DTS moved by ticks of 90 kHz."""
    if ticks == 0:
        return packet
    out = bytearray(packet)
    pcr = pcr_of(packet)
    if pcr is not None:
        out[6:12] = pcr_bytes(pcr + ticks * 300)
    start = 5 + packet[4] if packet[3] & 0x20 else 4
    header = read_header(packet[start:]) if packet[1] & 0x40 and packet[3] & 0x10 else None
    if header is not None and header.pts is not None:
        _move_time(out, start + 9, header.pts + ticks)
        if packet[start + 7] >> 6 == 3 and header.dts is not None:
            _move_time(out, start + 14, header.dts + ticks)
    return bytes(out)


def _move_time(packet: bytearray, at: int, value: int) -> None:
    packet[at : at + 5] = _time_bytes(packet[at] >> 4, value)


def _time(field: bytes) -> int:
    high, low = field[0] >> 1 & 7, field[3] << 7 | field[4] >> 1
    return high << 30 | field[1] << 22 | field[2] >> 1 << 15 | low


def _time_bytes(mark: int, value: int) -> bytes:
    value %= WRAP
    low = value << 1 & 0xFFFE | 1
    middle = value >> 14 & 0xFFFE | 1
    return bytes((mark << 4 | value >> 29 & 14 | 1, *middle.to_bytes(2), *low.to_bytes(2)))
