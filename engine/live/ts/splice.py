"""The output: our video in the place of the source's, every other packet as it came, later.

Interface, times in seconds of our clock:

* `splice = Splice(video_pid, pcr_pid, delay_s, clock)`; `clock(now_s)` is the PCR (27 MHz) that the
  output shows at `now_s`: the source's clock of `delay_s` ago, plus the slots' shift.
* `splice.passed(packet, pid, arrival_s)` for every packet that is not the video's;
* `splice.video(data, pts, dts, key=...)` for every encoded picture, when it is to be sent;
* `splice.pull(now_s)` at each tick and, where the video carries the clock, at least every 20 ms:
  the packets that are due, in order.

Nothing is changed in what passes until a time line is joined: `splice.hold()` where the source's
times are being judged (what has times is left out, for nobody knows them), `splice.join(shift)`
when the slots have joined. From then on PCR, PTS, DTS and SCTE-35's pts_adjustment are moved by
`shift` ticks, and continuity counters go on as if nothing had been left out.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

from keeprt.engine.live.ts.packets import packetise, pcr_packet
from keeprt.engine.live.ts.pes import moved, pes_packet
from keeprt.engine.live.ts.psi import PAT_PID, with_stream_type
from keeprt.engine.live.ts.scte35 import is_splice_info, moved_splice

PCR_EVERY_S = 0.02
TABLES_EVERY_S = 0.4  # where the source gives none: TR 101 290 wants one in 0.5 s
FIRST_OF_STREAMS = 0x20  # below lie tables


class Splice:
    """`pmt_pid` and `stream_type`: where the output's codec is not the source's."""

    def __init__(
        self,
        video_pid: int,
        pcr_pid: int,
        delay_s: float,
        clock: Callable[[float], int],
        *,
        pmt_pid: int | None = None,
        stream_type: int | None = None,
    ) -> None:
        self.video_pid, self.delay_s = video_pid, delay_s
        self.counts: Counter[str] = Counter()
        self._clock, self._has_clock = clock, video_pid == pcr_pid
        self._pmt_pid, self._stream_type = pmt_pid, stream_type
        self._waiting: deque[tuple[float, bytes, int]] = deque()
        self._ready: list[bytes] = []
        self._counter = 0  # of the video's next packet
        self._pcr_s: float | None = None
        self._held, self._shift = False, 0
        self._last: dict[int, int] = {}  # counters sent, by PID
        self._offsets: dict[int, int] = {}
        self._rejoining: set[int] = set()
        self._tables: dict[int, tuple[bytes, float]] = {}  # the last PAT and PMT, and when sent

    def retarget(
        self, video_pid: int, pcr_pid: int, pmt_pid: int | None, stream_type: int | None
    ) -> None:
        """Another programme map: the source came back with other PIDs or another codec."""
        if pmt_pid != self._pmt_pid:
            self._tables = {pid: held for pid, held in self._tables.items() if pid == PAT_PID}
        self.video_pid, self._has_clock = video_pid, video_pid == pcr_pid
        self._pmt_pid, self._stream_type = pmt_pid, stream_type

    def passed(self, packet: bytes, pid: int, arrival_s: float) -> None:
        """Takes a packet that is not of the picture; it leaves the same delay later."""
        if self._held and pid >= FIRST_OF_STREAMS and pid != self._pmt_pid:
            self.counts["left out"] += 1
            return
        self._waiting.append((arrival_s + self.delay_s, self._fitted(packet, pid), pid))

    def video(
        self, data: bytes, pts: int, dts: int | None = None, *, key: bool, now_s: float
    ) -> None:
        """One encoded picture, Annex B; times in 90 kHz of the output, any number of bits."""
        pes = pes_packet(data, pts, dts)
        pcr = self._pcr(now_s) if self._has_clock else None
        packets, self._counter = packetise(self.video_pid, self._counter, pes, key=key, pcr=pcr)
        self._ready += packets

    def pull(self, now_s: float) -> bytes:
        """The packets that are due, in order, as bytes; call it at least every 20 ms."""
        out = []
        while self._waiting and self._waiting[0][0] <= now_s:
            _, packet, pid = self._waiting.popleft()
            out.append(self._counted(packet, pid))
            if pid in (PAT_PID, self._pmt_pid):
                self._tables[pid] = (packet, now_s)
        out += self._missing_tables(now_s)
        out += self._ready
        self._ready = []
        if self._has_clock and self._pcr_is_due(now_s):
            counter = (self._counter - 1) & 15
            out.append(pcr_packet(self.video_pid, counter, self._pcr(now_s)))
        return b"".join(out)

    def hold(self) -> None:
        """The source's times are being judged, or it may have begun again."""
        self._held = True
        self._rejoining = {*self._last, *self._rejoining}

    @property
    def held(self) -> bool:
        """Whether what has times is left out."""
        return self._held

    def join(self, shift: int) -> None:
        """`shift`: ticks of 90 kHz from the source's times to the output's."""
        self._held, self._shift = False, shift
        self._rejoining = {*self._last, *self._rejoining}

    @property
    def shift(self) -> int:
        """Ticks that what passes is moved by."""
        return self._shift

    @property
    def waiting(self) -> int:
        """Packets that are not due yet."""
        return len(self._waiting)

    def _fitted(self, packet: bytes, pid: int) -> bytes:
        if pid == self._pmt_pid and self._stream_type is not None:
            return with_stream_type(packet, self.video_pid, self._stream_type)
        if not self._shift or pid == PAT_PID:
            return packet
        if is_splice_info(packet):
            return moved_splice(packet, self._shift)
        return moved(packet, self._shift)

    def _missing_tables(self, now_s: float) -> list[bytes]:
        """Whoever tunes in while nothing comes in must know what the picture is, too."""
        out = []
        for pid, (packet, sent_s) in sorted(self._tables.items()):
            if now_s - sent_s >= TABLES_EVERY_S and packet[1] & 0x40:
                self._tables[pid] = (packet, now_s)
                self._last[pid] = (self._last[pid] + 1) & 15
                self._offsets[pid] = self._offsets.get(pid, 0) + 1
                out.append(packet[:3] + bytes((packet[3] & 0xF0 | self._last[pid],)) + packet[4:])
                self.counts["tables repeated"] += 1
        return out

    def _counted(self, packet: bytes, pid: int) -> bytes:
        carries = packet[3] >> 4 & 1
        if pid in self._rejoining:
            self._rejoining.discard(pid)
            self._offsets[pid] = (self._last[pid] + carries - packet[3]) & 15
        offset = self._offsets.get(pid, 0)
        counter = (packet[3] + offset) & 15
        self._last[pid] = counter
        if not offset:
            return packet
        return packet[:3] + bytes((packet[3] & 0xF0 | counter,)) + packet[4:]

    def _pcr(self, now_s: float) -> int:
        self._pcr_s = now_s
        return self._clock(now_s)

    def _pcr_is_due(self, now_s: float) -> bool:
        return self._pcr_s is not None and now_s - self._pcr_s >= PCR_EVERY_S - 1e-6
