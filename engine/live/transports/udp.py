"""UDP, to one receiver or to a group: seven transport packets a datagram, nothing waited for.

Options of SRC: `iface` (address of the interface that joins a group), `buffer` (bytes in the
system's queue). Of DST: `ttl` (of a group, default 1), `iface`, `pkt_size` (bytes a datagram).
"""

from __future__ import annotations

import contextlib
import select
import socket
from collections import Counter

from keeprt.engine.errors import MediaError, UsageError
from keeprt.engine.live.transports.addresses import Address
from keeprt.engine.live.ts.packets import PACKET_BYTES
from keeprt.engine.media.errors import redact

DATAGRAM = 7 * PACKET_BYTES
RECEIVE_BUFFER, SEND_BUFFER = 8 << 20, 4 << 20
AT_ONCE = 64  # datagrams that one read takes
_RTP_HEADER = 12


class UdpSource:
    """Listens; RTP's header is taken off where a datagram has one."""

    is_live = True
    reconnects = 0

    def __init__(self, address: Address) -> None:
        interface = address.option("iface", "0.0.0.0")
        size = address.option("buffer", RECEIVE_BUFFER)
        address.refuse_others()
        self._socket = _socket(address)
        try:
            if address.is_multicast:  # else another channel would take its datagrams unseen
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
            self._socket.bind((address.host, address.port))
            if address.is_multicast:
                group = socket.inet_aton(address.host) + socket.inet_aton(interface)
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        except OSError as error:
            self._socket.close()
            raise MediaError(f"cannot listen at {redact(address.text)}: {error}") from error
        self._socket.setblocking(False)

    def read(self, timeout_s: float) -> bytes | None:
        """See `Source`."""
        try:
            if not select.select([self._socket], [], [], timeout_s)[0]:
                return None
            return b"".join(self._lying())
        except (OSError, ValueError):  # closed by another thread
            return b""

    def stats(self) -> dict[str, float]:
        """See `Source`."""
        return {}

    def close(self) -> None:
        """See `Source`."""
        self._socket.close()

    def _lying(self) -> list[bytes]:
        found: list[bytes] = []
        with contextlib.suppress(BlockingIOError):
            while len(found) < AT_ONCE:
                found.append(_payload(self._socket.recv(65536)))
        return found


class UdpSink:
    """Sends; a receiver that is not there is no error."""

    reconnects = 0
    waiting = 0

    def __init__(self, address: Address) -> None:
        self.counts: Counter[str] = Counter()
        size = address.option("pkt_size", DATAGRAM)
        ttl, interface = address.option("ttl", 1), address.option("iface", "")
        address.refuse_others()
        if size < PACKET_BYTES:
            raise UsageError(f"DST {redact(address.text)!r}: pkt_size is {size}; give 188 or more")
        self._size = size // PACKET_BYTES * PACKET_BYTES
        self._socket = _socket(address)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            if address.is_multicast:
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
                if interface:
                    place = socket.inet_aton(interface)
                    self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, place)
            self._socket.connect((address.host or "127.0.0.1", address.port))
        except OSError as error:
            self._socket.close()
            raise MediaError(f"cannot send to {redact(address.text)}: {error}") from error
        self._socket.setblocking(False)

    def send(self, data: bytes) -> None:
        """See `Sink`."""
        for at in range(0, len(data), self._size):
            self._send(data[at : at + self._size])

    def stats(self) -> dict[str, float]:
        """See `Sink`."""
        return {}

    def close(self) -> None:
        """See `Sink`."""
        self._socket.close()

    def _send(self, datagram: bytes) -> None:
        try:
            self._socket.send(datagram)
            self.counts["bytes"] += len(datagram)
        except ConnectionRefusedError:  # of an earlier one: nobody listens; the next may be heard
            self.counts["refused"] += 1
            with contextlib.suppress(OSError):
                self._socket.send(datagram)
        except OSError:
            self.counts["dropped"] += len(datagram)


def _socket(address: Address) -> socket.socket:
    kind = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    return socket.socket(kind, socket.SOCK_DGRAM)


def _payload(datagram: bytes) -> bytes:
    has_header = len(datagram) % PACKET_BYTES == _RTP_HEADER and datagram[0] >> 6 == 2
    return datagram[_RTP_HEADER:] if has_header else datagram
