"""Opens what SRC and DST name.

Interface: `source = open_source(text)`, `source.read(timeout_s)` gives bytes as they arrive, None
where none came in time, b"" at the end of what ends (a file, a pipe); `sink = open_sink(text)`,
`sink.send(data)` takes whole transport packets and never waits: what the other side does not take
is dropped and counted, oldest first, so that the output stays at the live edge. Both reconnect by
themselves; `reconnects` counts how often. From any one thread each; `close` from any.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from keeprt.engine.errors import UsageError
from keeprt.engine.live.transports.addresses import parse_address
from keeprt.engine.media.errors import redact


class Source(Protocol):
    """What gives a transport stream."""

    is_live: bool  # whether time passes whether it is read or not

    @property
    def reconnects(self) -> int:
        """How often it was opened again."""

    def read(self, timeout_s: float) -> bytes | None:
        """Bytes, None after `timeout_s` without any, b"" at the end."""

    def stats(self) -> dict[str, float]:
        """What the transport itself counts, by name."""

    def close(self) -> None:
        """Ends a `read` too."""


class Sink(Protocol):
    """What takes a transport stream."""

    @property
    def reconnects(self) -> int:
        """How often it was opened again."""

    @property
    def counts(self) -> Counter[str]:
        """bytes, dropped (bytes), refused (sends)."""

    def send(self, data: bytes) -> None:
        """Whole packets; never waits."""

    @property
    def waiting(self) -> int:
        """Bytes that were taken and not sent."""

    def stats(self) -> dict[str, float]:
        """What the transport itself counts, by name."""

    def close(self) -> None:
        """Sends what waits, for a moment, and ends."""


def open_source(text: str) -> Source:
    """Raises UsageError for an address that cannot be, MediaError for one that cannot be opened."""
    address = parse_address(text, "SRC")
    if address.scheme == "udp":
        from keeprt.engine.live.transports.udp import UdpSource

        return UdpSource(address)
    if address.scheme == "file":
        from keeprt.engine.live.transports.files import FileSource

        return FileSource(address)
    if address.scheme == "pipe":
        from keeprt.engine.live.transports.files import PipeSource

        return PipeSource(address)
    if address.scheme in ("srt", "rist", "rtmp"):
        from keeprt.engine.live.transports.programs import ProgramSource

        return ProgramSource(address)
    raise UsageError(f"SRC {redact(text)!r}: {address.scheme} is no source here yet")


def open_sink(text: str) -> Sink:
    """As `open_source`."""
    address = parse_address(text, "DST")
    if address.scheme == "udp":
        from keeprt.engine.live.transports.udp import UdpSink

        return UdpSink(address)
    if address.scheme in ("file", "pipe"):
        from keeprt.engine.live.transports.files import open_file_sink

        return open_file_sink(address)
    if address.scheme in ("srt", "rist", "rtmp"):
        from keeprt.engine.live.transports.programs import ProgramSink

        return ProgramSink(address)
    raise UsageError(f"DST {redact(text)!r}: {address.scheme} is no destination here yet")
