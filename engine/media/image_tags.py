"""What stands beside the pixels of an image file: the turn that shows it upright, the ICC profile.

Read here and not by PyAV, whose side data of a frame with an ICC profile brings the process down
when it is collected.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

_TURN = 0x0112  # TIFF's and EXIF's tag of the orientation, 1 to 8
_ONE, _LAST = 1 << 16, 1 << 30
# a, b, c, d of a display matrix, by orientation.
_MATRICES = {
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}
_PNG_HEAD = 33  # bytes of signature and IHDR


def display_matrix_of(path: Path) -> tuple[int, ...] | None:
    """FFmpeg's display matrix of an image file by its orientation tag, None if it is upright."""
    tags = next(_tiff_blocks(path.read_bytes()), b"")
    try:
        turn = _MATRICES.get(_orientation(tags))
    except struct.error:
        return None
    if turn is None:
        return None
    a, b, c, d = (_ONE * value for value in turn)
    return (a, b, 0, c, d, 0, 0, 0, _LAST)


def colour_profile(path: Path) -> bytes | None:
    """The ICC profile in a PNG or JPEG file, None if there is none."""
    data = path.read_bytes()
    if data.startswith(b"\x89PNG"):
        found = next((body for kind, body in _png_chunks(data) if kind == b"iCCP"), None)
        return None if found is None else zlib.decompress(found[found.index(b"\0") + 2 :])
    return b"".join(body[14:] for body in _jpeg_segments(data, 0xE2, b"ICC_PROFILE\0")) or None


def with_profile(png: bytes, profile: bytes | None) -> bytes:
    """A PNG file with an ICC profile."""
    if profile is None:
        return png
    body = b"iCCP" + b"icc\0\0" + zlib.compress(profile)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_PNG_HEAD] + chunk + png[_PNG_HEAD:]


def _tiff_blocks(data: bytes) -> Iterator[bytes]:
    """EXIF's blocks of tags, wherever the kind of file keeps them."""
    if data[:2] in (b"II", b"MM"):
        yield data
    elif data.startswith(b"\x89PNG"):
        yield from (body for kind, body in _png_chunks(data) if kind == b"eXIf")
    elif data.startswith(b"RIFF"):
        yield from (body.removeprefix(b"Exif\0\0") for body in _webp_exif(data))
    else:
        yield from (body[6:] for body in _jpeg_segments(data, 0xE1, b"Exif\0\0"))


def _orientation(tags: bytes) -> int:
    order = "<" if tags[:2] == b"II" else ">"
    (place,) = struct.unpack_from(f"{order}I", tags, 4) if tags else (0,)
    (count,) = struct.unpack_from(f"{order}H", tags, place) if tags else (0,)
    for entry in range(place + 2, place + 2 + 12 * count, 12):
        tag, _, _, value = struct.unpack_from(f"{order}HHIH", tags, entry)
        if tag == _TURN:
            return int(value)
    return 1


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 8
    while place + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, place)
        yield data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        place += size + 12


def _jpeg_segments(data: bytes, marker: int, begin: bytes) -> Iterator[bytes]:
    """The bodies of these segments before the first scan, in order."""
    place = 2
    while data[:2] == b"\xff\xd8" and place + 4 <= len(data) and data[place + 1] != 0xDA:
        (size,) = struct.unpack_from(">H", data, place + 2)
        segment = data[place + 4 : place + 2 + size]
        if data[place + 1] == marker and segment.startswith(begin):
            yield segment
        place += size + 2


def _webp_exif(data: bytes) -> Iterator[bytes]:
    place = 12
    while place + 8 <= len(data):
        (size,) = struct.unpack_from("<I", data, place + 4)
        if data[place : place + 4] == b"EXIF":
            yield data[place + 8 : place + 8 + size]
        place += 8 + size + size % 2
