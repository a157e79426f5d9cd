"""What is wrong with a transport stream, by TR 101 290: counters, clocks, tables.

Interface: `checks.see(packet, pid, now_s)` for every packet gives True where it is a duplicate, to
be left out; `checks.counts` holds what was found, by kind, `checks.lost` where counters jumped, by
PID, and `checks.longest_s` the longest time between two PATs, PMTs and PCRs.
"""

from __future__ import annotations

from collections import Counter

from keeprt.engine.live.ts.packets import NULL_PID, is_discontinuous
from keeprt.engine.live.ts.psi import PAT_PID

TABLES_S = 0.5
PCR_S = 0.1


class Checks:
    """One stream's checks. Times are any clock's that is as steady as the stream's, in seconds."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.lost: Counter[int] = Counter()
        self.longest_s: dict[str, float] = {}
        self.pmt_pid: int | None = None
        self.pcr_pid: int | None = None
        #: The last packet of each PID; `Demux` notes here those that merely follow.
        self.last: dict[int, bytes] = {}
        self._seen_s: dict[str, float] = {}

    def see(self, packet: bytes, pid: int, now_s: float) -> bool:
        """Counts what is wrong with a packet; True for one that came twice and is to be dropped."""
        if packet[1] & 0x80:
            self.counts["transport error"] += 1
        if pid == NULL_PID:
            return False
        if pid in (PAT_PID, self.pmt_pid) and packet[1] & 0x40:
            self._interval("PAT" if pid == PAT_PID else "PMT", TABLES_S, now_s)
        if pid == self.pcr_pid and packet[3] & 0x20 and packet[4] >= 7 and packet[5] & 0x10:
            self._interval("PCR", PCR_S, now_s)
        return self._counter(packet, pid)

    def _counter(self, packet: bytes, pid: int) -> bool:
        last = self.last.get(pid)
        self.last[pid] = packet
        if last is None or is_discontinuous(packet):
            return False
        step = (packet[3] - last[3]) & 15
        if packet[3] & 0x10:
            if step == 1:
                return False
            # Only the clock may differ between a packet and its duplicate.
            if step == 0 and packet[12:] == last[12:]:
                self.counts["duplicate"] += 1
                return True
        elif step == 0:
            return False
        self.counts["continuity"] += 1
        self.lost[pid] += 1
        return False

    def _interval(self, kind: str, limit_s: float, now_s: float) -> None:
        before = self._seen_s.get(kind)
        self._seen_s[kind] = now_s
        if before is None:
            return
        gap = now_s - before
        self.longest_s[kind] = max(gap, self.longest_s.get(kind, 0.0))
        if gap > limit_s:
            self.counts[f"{kind} interval"] += 1
