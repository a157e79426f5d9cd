"""The preview: the latest picture before and after, in memory that the control process reads.

Interface: the wire has `PreviewWriter(Memory.create(PREVIEW_BYTES))` and calls
`writer.write(number, width, height, before, after)` with RGB24 of at most `LARGEST` pixels; the
control process has `PreviewReader(Memory.of(fd, PREVIEW_BYTES))` and calls `reader.read()` for the
latest `Preview`, or None where there is none yet or where one is being written just now (ask again
later: it lasts microseconds). Nobody waits for anybody. The picture's own size fits `LARGEST`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from keeprt.engine.live.memory import Memory

LARGEST = 640 * 640
_HEAD = struct.Struct("<QQII")  # turns of the writer (odd: writing), number, width, height
PREVIEW_BYTES = _HEAD.size + 2 * 3 * LARGEST


@dataclass(frozen=True)
class Preview:
    """`before`, `after`: RGB, 3 bytes a pixel, rows without gaps. `number`: of the tick."""

    number: int
    width: int
    height: int
    before: bytes
    after: bytes


class PreviewWriter:
    """The wire's end."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self._turns = 0

    def write(self, number: int, width: int, height: int, before: bytes, after: bytes) -> None:
        """Replaces the picture. Raises ValueError for one that is too large or of another size."""
        size = width * height * 3
        if size > 3 * LARGEST or len(before) != size or len(after) != size:
            raise ValueError(f"a preview of {width}x{height} with {len(before)} bytes")
        view = self.memory.map
        _HEAD.pack_into(view, 0, self._turns + 1, number, width, height)
        view[_HEAD.size : _HEAD.size + size] = before
        view[_HEAD.size + size : _HEAD.size + 2 * size] = after
        self._turns += 2
        _HEAD.pack_into(view, 0, self._turns, number, width, height)


class PreviewReader:
    """The control process's end."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    def read(self) -> Preview | None:
        """The latest picture."""
        view = self.memory.map
        head = _HEAD.unpack_from(view)
        turns, number, width, height = head
        if turns == 0 or turns % 2:
            return None
        size = width * height * 3
        before = view[_HEAD.size : _HEAD.size + size]
        after = view[_HEAD.size + size : _HEAD.size + 2 * size]
        if _HEAD.unpack_from(view) != head:
            return None
        return Preview(number, width, height, before, after)
