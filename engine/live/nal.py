"""NAL units of an Annex B stream: where pictures begin, and bytes that may look like no start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

Codec = Literal["h264", "hevc"]


def units(access_unit: bytes, codec: Codec) -> Iterator[tuple[int, int]]:
    """Where each NAL unit's start code begins, its leading zero included, and its type."""
    at = access_unit.find(b"\x00\x00\x01")
    while 0 <= at < len(access_unit) - 3:
        header = access_unit[at + 3]
        begins = at - 1 if at and access_unit[at - 1] == 0 else at
        yield begins, header & 31 if codec == "h264" else header >> 1 & 63
        at = access_unit.find(b"\x00\x00\x01", at + 3)


def first_picture(access_unit: bytes, codec: Codec) -> int:
    """Where the first slice begins; the end where there is none."""
    for begins, kind in units(access_unit, codec):
        if (1 <= kind <= 5) if codec == "h264" else kind < 32:
            return begins
    return len(access_unit)


def escaped(payload: bytes) -> bytes:
    """With an emulation prevention byte wherever two zeros and 0 to 3 would meet."""
    out, zeros = bytearray(), 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)
