"""Transport packets of 188 bytes (ISO/IEC 13818-1): finding them, their clocks, making them.

Interface: `Aligner().push(data)` gives whole packets out of bytes that come in any pieces, through
loss of sync; `pcr_of`, `payload_of`, `pid_of` read one; `packetise` makes those of one PES packet
and `pcr_packet` one that carries a clock alone.
"""

from __future__ import annotations

PACKET_BYTES = 188
SYNC = 0x47
NULL_PID = 0x1FFF
PCR_HZ = 27_000_000
PCR_WRAP = 300 << 33
_SYNC_PACKETS = 3  # this many sync bytes in their places are no chance


class Aligner:
    """Cuts a byte stream into packets."""

    def __init__(self) -> None:
        self._kept = b""
        self.lost_syncs = 0
        self.skipped_bytes = 0

    def push(self, data: bytes) -> list[bytes]:
        """The packets that are whole now."""
        data = self._kept + data if self._kept else bytes(data)
        packets: list[bytes] = []
        at, end = 0, len(data)
        while at + PACKET_BYTES <= end:
            if data[at] == SYNC:
                packets.append(data[at : at + PACKET_BYTES])
                at += PACKET_BYTES
                continue
            self.lost_syncs += 1
            found = self._search(data, at + 1)
            self.skipped_bytes += found - at
            at = found
            if data[at : at + 1] != b"\x47" or at + PACKET_BYTES * (_SYNC_PACKETS - 1) >= end:
                break
        self._kept = data[at:]
        return packets

    @staticmethod
    def _search(data: bytes, at: int) -> int:
        """Where sync bytes lie one packet apart; the end of what may be left out."""
        at = data.find(b"\x47", at)
        while at >= 0:
            places = range(at, min(len(data), at + _SYNC_PACKETS * PACKET_BYTES), PACKET_BYTES)
            if all(data[place] == SYNC for place in places):
                return at
            at = data.find(b"\x47", at + 1)
        return len(data)


def pid_of(packet: bytes) -> int:
    """A packet's PID, 13 bits."""
    return (packet[1] & 0x1F) << 8 | packet[2]


def payload_of(packet: bytes) -> bytes:
    """Empty where there is none, or where the adaptation field is longer than the packet."""
    if not packet[3] & 0x10:
        return b""
    return packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]


def pcr_of(packet: bytes) -> int | None:
    """The packet's clock in ticks of 27 MHz; None where it carries none."""
    if not packet[3] & 0x20 or packet[4] < 7 or not packet[5] & 0x10:
        return None
    return (int.from_bytes(packet[6:11], "big") >> 7) * 300 + ((packet[10] & 1) << 8 | packet[11])


def is_discontinuous(packet: bytes) -> bool:
    """Whether the packet itself says that its counters and clocks begin anew."""
    return bool(packet[3] & 0x20 and packet[4] and packet[5] & 0x80)


def pcr_bytes(pcr: int) -> bytes:
    """The six bytes of a PCR in ticks of 27 MHz (ISO/IEC 13818-1, 2.4.3.5)."""
    base, extension = divmod(pcr % PCR_WRAP, 300)
    return (base << 15 | 0x7E00 | extension).to_bytes(6, "big")


def pcr_packet(pid: int, counter: int, pcr: int) -> bytes:
    """A packet without payload: `counter` is that of the PID's last packet, not one more."""
    head = bytes((SYNC, pid >> 8, pid & 0xFF, 0x20 | counter & 15, 183, 0x10))
    return head + pcr_bytes(pcr) + b"\xff" * 176


def packetise(
    pid: int, counter: int, pes: bytes, *, key: bool = False, pcr: int | None = None
) -> tuple[list[bytes], int]:
    """A PES packet as transport packets, and the counter of the next.

    key: a decoder may start here (random_access_indicator).
    """
    high, low = pid >> 8, pid & 0xFF
    field = b""
    if key or pcr is not None:
        flags = (0x40 if key else 0) | (0x10 if pcr is not None else 0)
        field = bytes((flags,)) + (b"" if pcr is None else pcr_bytes(pcr))
    first, at = _fitted(high | 0x40, low, counter, field, pes, 0)
    packets, counter = [first], counter + 1
    whole = (len(pes) - at) // 184
    heads = [bytes((SYNC, high, low, 0x10 | n)) for n in range(16)]
    for _ in range(whole):
        packets.append(heads[counter & 15] + pes[at : at + 184])
        at, counter = at + 184, counter + 1
    if at < len(pes):
        last, _ = _fitted(high, low, counter, b"", pes, at)
        packets.append(last)
        counter += 1
    return packets, counter & 15


def _fitted(
    high: int, low: int, counter: int, field: bytes, pes: bytes, at: int
) -> tuple[bytes, int]:
    """One packet, stuffed in its adaptation field where too little is left."""
    room = 184 - (len(field) + 1 if field else 0)
    taken = pes[at : at + room]
    stuffing = room - len(taken)
    if not field and stuffing == 0:
        return bytes((SYNC, high, low, 0x10 | counter & 15)) + taken, at + len(taken)
    if not field and stuffing == 1:
        adaptation = b"\x00"
    else:
        if not field:
            field, stuffing = b"\x00", stuffing - 2
        field += b"\xff" * stuffing
        adaptation = bytes((len(field),)) + field
    head = bytes((SYNC, high, low, 0x30 | counter & 15))
    return head + adaptation + taken, at + len(taken)
