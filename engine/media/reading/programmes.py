"""Programmes of an MPEG transport stream: which streams belong together (ISO/IEC 13818-1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

_SYNC = 0x47
_SIZES = (188, 192, 204)
_PAT, _PMT = 0, 2
HEAD_BYTES = 1 << 20
#: The stream type of SCTE-35's cues (ANSI/SCTE 35).
SPLICE_CUES = 0x86


@dataclass(frozen=True)
class Programme:
    """A number, the stream ids (PIDs) that belong to it, and what stream type each has."""

    number: int
    types: Mapping[int, int]

    @property
    def pids(self) -> Set[int]:
        """Its stream ids."""
        return self.types.keys()


def programmes_in(head: bytes) -> list[Programme]:
    """The programmes that the beginning of a file announces; empty for anything but MPEG-TS."""
    maps: dict[int, int] = {}
    found: dict[int, Programme] = {}
    for pid, section in _sections(head):
        if pid == _PAT and section[0] == _PAT:
            maps |= _association(section)
        elif pid in maps and section[0] == _PMT and maps[pid] not in found:
            found[maps[pid]] = Programme(maps[pid], _streams(section))
    return [found[number] for number in maps.values() if number in found]


def is_transport_stream(head: bytes) -> bool:
    """Whether packets of a transport stream begin here."""
    return _packet_size(head) is not None


def scrambled_pids(head: bytes) -> frozenset[int]:
    """The streams all of whose packets in the head are marked as scrambled."""
    layout = _packet_size(head)
    if layout is None:
        return frozenset()
    size, start = layout
    marks: dict[int, set[bool]] = {}
    for at in range(start, len(head) - 187, size):
        pid = (head[at + 1] & 0x1F) << 8 | head[at + 2]
        marks.setdefault(pid, set()).add(bool(head[at + 3] & 0xC0))
    return frozenset(pid for pid, found in marks.items() if found == {True})


def _packet_size(head: bytes) -> tuple[int, int] | None:
    for size in _SIZES:
        for start in range(min(size, len(head))):
            marks = head[start : start + 5 * size : size]
            if len(marks) >= 2 and set(marks) == {_SYNC}:
                return size, start
    return None


def _sections(head: bytes) -> Iterator[tuple[int, bytes]]:
    """(pid, section) of every table that begins and ends in the head."""
    layout = _packet_size(head)
    if layout is None:
        return
    size, start = layout
    open_sections: dict[int, bytes] = {}
    for at in range(start, len(head) - 187, size):
        packet = head[at : at + 188]
        pid = (packet[1] & 0x1F) << 8 | packet[2]
        payload = _payload(packet)
        if packet[1] & 0x40 and payload:
            open_sections[pid] = payload[1 + payload[0] :]
        elif pid in open_sections:
            open_sections[pid] += payload
        section = open_sections.get(pid, b"")
        if len(section) >= 3 and len(section) >= 3 + ((section[1] & 0x0F) << 8 | section[2]):
            yield pid, open_sections.pop(pid)


def _payload(packet: bytes) -> bytes:
    if not packet[3] & 0x10:
        return b""
    return packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]


def _body(section: bytes) -> bytes:
    length = (section[1] & 0x0F) << 8 | section[2]
    return section[8 : 3 + length - 4]


def _association(section: bytes) -> dict[int, int]:
    body = _body(section)
    rows = (body[at : at + 4] for at in range(0, len(body) - 3, 4))
    pairs = ((row[0] << 8 | row[1], (row[2] & 0x1F) << 8 | row[3]) for row in rows)
    return {pid: number for number, pid in pairs if number}


def _streams(section: bytes) -> dict[int, int]:
    body = _body(section)
    at = 4 + ((body[2] & 0x0F) << 8 | body[3]) if len(body) >= 4 else len(body)
    types: dict[int, int] = {}
    while at + 5 <= len(body):
        types[(body[at + 1] & 0x1F) << 8 | body[at + 2]] = body[at]
        at += 5 + ((body[at + 3] & 0x0F) << 8 | body[at + 4])
    return types
