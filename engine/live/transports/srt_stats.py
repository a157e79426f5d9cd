"""What srt-live-transmit says of its line: a JSON object about twice a second on its stdout.

Interface: `stats = SrtStats("recv")`; `stats.push(data)` takes what it wrote; `stats.values` are
counts since the first report, and the last times, by name.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Literal

REPORTED = ("-s:100", "-statspf:json")  # after so many packets
_COUNTED = {
    "packets": "packets",
    "packetsLost": "packets_lost",
    "packetsRetransmitted": "packets_retransmitted",
    "packetsDropped": "packets_dropped",
    "packetsBelated": "packets_belated",
}
_MOST = 1 << 16  # of a line


class SrtStats:
    """`way`: which of the two directions counts."""

    def __init__(self, way: Literal["send", "recv"]) -> None:
        self.values: dict[str, float] = {}
        self._way, self._counts, self._rest = way, Counter[str](), b""

    def push(self, data: bytes) -> None:
        """Any bytes; a line that is none of its reports is left out."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[-_MOST:]
        for line in lines:
            self._see(line)

    def _see(self, line: bytes) -> None:
        try:
            said = json.loads(line)
            line_s, way = said["link"], said[self._way]
            times = {"rtt_ms": float(line_s["rtt"]), "buffer_ms": float(way["msBuf"])}
            new = {ours: int(way[its]) for its, ours in _COUNTED.items() if its in way}
        except (ValueError, KeyError, TypeError):
            return
        self._counts.update(new)  # each report is of what came since the last
        self.values = {**times, **self._counts}
