"""Files and pipes of transport packets.

`file:x.ts?pace` as SRC gives the file at the speed of its own clock (PCR), as a network would;
without `pace` as fast as it is read, which is for measuring; `loop` begins again at its end.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from keeprt.engine.errors import MediaError
from keeprt.engine.live.transports.addresses import Address
from keeprt.engine.live.transports.queued import QueuedSink
from keeprt.engine.live.ts.packets import PACKET_BYTES, PCR_HZ, PCR_WRAP, Aligner, pcr_of, pid_of

PIECE_PACKETS = 7
PIECE = 64 * PACKET_BYTES
MOST_BETWEEN = 100_000  # packets between two clocks
LONGEST_GAP_S = 1.0  # of the file's clock; more is a jump


class FileSource:
    """A file, at its own speed or as fast as it is read."""

    reconnects = 0

    def __init__(self, address: Address) -> None:
        self.is_live = address.has("pace")
        self._loops = address.has("loop")
        address.refuse_others()
        try:
            # Closed by `close`.
            self._file: BinaryIO = Path(address.path).open("rb")  # noqa: SIM115
        except OSError as error:
            raise MediaError(f"cannot read {address.path}: {error.strerror}") from error
        self._pieces = paced(self._next)
        self._held: tuple[float, bytes] | None = None
        self._began_s: float | None = None

    def read(self, timeout_s: float) -> bytes | None:
        """See `Source`."""
        if not self.is_live:
            return self._next()
        due_s, data = self._held or next(self._pieces, (0.0, b""))
        self._held = None
        if self._began_s is None:
            self._began_s = time.monotonic() - due_s
        wait_s = self._began_s + due_s - time.monotonic()
        if data and wait_s > timeout_s:
            self._held = (due_s, data)
            time.sleep(timeout_s)
            return None
        if data and wait_s > 0:
            time.sleep(wait_s)
        return data

    def stats(self) -> dict[str, float]:
        """See `Source`."""
        return {}

    def close(self) -> None:
        """See `Source`."""
        self._file.close()

    def _next(self) -> bytes:
        try:
            data = self._file.read(PIECE)
            if not data and self._loops:
                self._file.seek(0)
                data = self._file.read(PIECE)
        except ValueError:  # closed by another thread
            return b""
        return data


def paced(read: Callable[[], bytes]) -> Iterator[tuple[float, bytes]]:
    """What `read` gives in pieces of at most a datagram, each with the second at which it is due.

    Time is that of the first PCR's PID; between two clocks packets are due at a constant rate.
    """
    aligner, clock, between = Aligner(), _Elapsed(), list[bytes]()
    while data := read():
        for packet in aligner.push(data):
            began_s = clock.seconds
            if clock.see(packet) or len(between) == MOST_BETWEEN:
                yield from _spread(between, began_s, clock.seconds)
                between = []
            between.append(packet)
    yield from _spread(between, clock.seconds, clock.seconds)


def _spread(packets: list[bytes], from_s: float, to_s: float) -> Iterator[tuple[float, bytes]]:
    for at in range(0, len(packets), PIECE_PACKETS):
        piece = packets[at : at + PIECE_PACKETS]
        share = (at + len(piece) - 1) / len(packets)
        yield from_s + share * (to_s - from_s), b"".join(piece)


class _Elapsed:
    """Seconds of the stream's own clock since its first."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._pid: int | None = None
        self._last: int | None = None

    def see(self, packet: bytes) -> bool:
        """Whether the packet carries the clock."""
        pcr = pcr_of(packet)
        if pcr is None or self._pid not in (None, pid_of(packet)):
            return False
        self._pid = pid_of(packet)
        if self._last is not None:
            step = (pcr - self._last) % PCR_WRAP / PCR_HZ
            self.seconds += step if step < LONGEST_GAP_S else 0.0
        self._last = pcr
        return True


class PipeSource:
    """Stdin."""

    is_live = True
    reconnects = 0

    def __init__(self, address: Address) -> None:
        address.refuse_others()
        self._fd = sys.stdin.fileno()
        self._closed = False

    def read(self, timeout_s: float) -> bytes | None:
        """See `Source`."""
        if self._closed:
            return b""
        if not select.select([self._fd], [], [], timeout_s)[0]:
            return None
        return os.read(self._fd, PIECE)

    def stats(self) -> dict[str, float]:
        """See `Source`."""
        return {}

    def close(self) -> None:
        """See `Source`."""
        self._closed = True


def open_file_sink(address: Address) -> QueuedSink:
    """A file that is written while it grows, or stdout."""
    address.refuse_others()
    if address.scheme == "pipe":
        return QueuedSink(sys.stdout.fileno())
    try:
        fd = os.open(address.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    except OSError as error:
        raise MediaError(f"cannot write {address.path}: {error.strerror}") from error
    return QueuedSink(fd)
