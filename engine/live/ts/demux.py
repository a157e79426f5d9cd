"""A transport stream taken apart: the video as access units, the rest as the packets that it is.

Interface: `demux.push(data, now_s)` gives, in order of arrival, `AccessUnit`s of the video PID and
`Passed` packets of all others; `demux.finish()` what was not complete. `demux.program` says what
the stream holds, `demux.checks` what is wrong with it, `demux.clock_pcr` its last clock.

A unit is given with its last byte where its PES packet says its length, or where stuffing closes
it, as all muxers do: none waits for the next. Should a stream prove otherwise (a unit goes on after
its stuffing), units of unknown length wait for the next one from then on. A unit that lost packets
is given as it is, and marked: what to do is for the decoder.
"""

from __future__ import annotations

from dataclasses import dataclass

from keeprt.engine.live.ts.checks import Checks
from keeprt.engine.live.ts.packets import Aligner, pcr_of
from keeprt.engine.live.ts.pes import PesHeader, read_header
from keeprt.engine.live.ts.psi import PAT_PID, Program

LARGEST_UNIT_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One PES packet of the video; times in 33 bits of 90 kHz, None where it gives none."""

    data: bytes
    pts: int | None
    dts: int | None
    arrival_s: float  # of its first packet
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class Passed:
    """A packet that is not the video's; `pcr` in 27 MHz where it carries the programme's clock."""

    packet: bytes
    pid: int
    arrival_s: float
    pcr: int | None = None


Event = AccessUnit | Passed


class Demux:
    """`number`: the programme; None for the first."""

    def __init__(self, number: int | None = None) -> None:
        self.program, self.checks, self.aligner = Program(number), Checks(), Aligner()
        self.clock_pcr: int | None = None
        self.clock_s = 0.0  # when that arrived
        self._video_pid: int | None = None
        self._video = _Unit()
        self._versions = 0

    def push(self, data: bytes, now_s: float) -> list[Event]:
        """Takes bytes as they arrive, in any pieces; gives the access units and packets that are
        whole."""
        out: list[Event] = []
        last = self.checks.last
        for packet in self.aligner.push(data):
            pid, control = (packet[1] & 0x1F) << 8 | packet[2], packet[3]
            # Nearly all packets: of the picture, nothing begins or ends, the counter is one more.
            if (
                pid == self._video_pid
                and self._video.open
                and control & 0x30 == 0x10
                and packet[1] < 0x20
                and (control - last[pid][3]) & 15 == 1
            ):
                last[pid] = packet
                if self._video.more(packet):
                    out.extend(self._video.finished())
                continue
            if self.checks.see(packet, pid, now_s):
                continue
            if pid == self._video_pid:
                self._of_video(packet, now_s, out)
            else:
                out.append(self._other(packet, pid, now_s))
        return out

    def finish(self) -> list[AccessUnit]:
        """The unit that was not complete; it may be cut short."""
        return self._video.finished()

    @property
    def counts(self) -> dict[str, int]:
        """All that was found wrong, by kind."""
        damaged = self.program.pat.damaged + self.program.pmt.damaged
        sync = {"lost sync": self.aligner.lost_syncs, "table checksum": damaged}
        return {**self.checks.counts, **{kind: n for kind, n in sync.items() if n}}

    def _other(self, packet: bytes, pid: int, now_s: float) -> Passed:
        if pid in (PAT_PID, self.program.pmt_pid):
            self.program.push(packet, pid)
            if self.program.versions != self._versions:
                self._changed()
        pcr = pcr_of(packet) if pid == self.program.pcr_pid else None
        self._tell_clock(pcr, now_s)
        return Passed(packet, pid, now_s, pcr)

    def _changed(self) -> None:
        self._versions = self.program.versions
        video = self.program.video
        self._video_pid = None if video is None else video.pid
        self._video = _Unit()
        self.checks.pmt_pid, self.checks.pcr_pid = self.program.pmt_pid, self.program.pcr_pid

    def _of_video(self, packet: bytes, now_s: float, out: list[Event]) -> None:
        if packet[3] & 0x20 and self._video_pid == self.program.pcr_pid:
            self._tell_clock(pcr_of(packet), now_s)
        lost = self.checks.lost[self._video_pid or 0]
        out.extend(self._video.push(packet, now_s, lost))

    def _tell_clock(self, pcr: int | None, now_s: float) -> None:
        if pcr is not None:
            self.clock_pcr, self.clock_s = pcr, now_s


class _Unit:
    """The PES packet that is being put together."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size, self._total = 0, LARGEST_UNIT_BYTES
        self._header: PesHeader | None = None
        self.open = False  # whether there is a header: the units' packets go on
        self._arrival_s = 0.0
        self._lost = 0
        self._damaged = False
        self._closed_by_stuffing = False
        self._stuffing_closes = True

    def push(self, packet: bytes, now_s: float, lost: int) -> list[AccessUnit]:
        done: list[AccessUnit] = []
        if packet[1] & 0x40:
            self._damaged |= lost != self._lost  # its end may be among what was lost
            done = self.finished()
            self._begin(now_s, lost)
        elif self._closed_by_stuffing and packet[3] & 0x10 and lost == self._lost:
            self._stuffing_closes = False
        if self._header is None and not (packet[1] & 0x40):
            return done
        self._take(packet, lost)
        return done + self.finished() if self._is_whole(packet) else done

    def more(self, packet: bytes) -> bool:
        """A packet of payload alone that follows the last; whether the unit is whole with it."""
        self._parts.append(packet[4:])
        self._size += 184
        return self._size >= self._total

    def finished(self) -> list[AccessUnit]:
        """The unit, if there is one; nothing is open after it."""
        header, self._header, self.open = self._header, None, False
        if header is None:
            return []
        data = b"".join(self._parts)
        wanted = header.total if header.total is not None else len(data)
        short = len(data) < wanted
        body = data[header.size : wanted]
        damaged = self._damaged or short
        return [AccessUnit(body, header.pts, header.dts, self._arrival_s, damaged)]

    def _begin(self, now_s: float, lost: int) -> None:
        self._parts, self._size, self._header, self.open = [], 0, None, False
        # The packet that begins it may be the one before which others were lost.
        self._arrival_s, self._lost, self._damaged = now_s, lost, False
        self._closed_by_stuffing = False

    def _take(self, packet: bytes, lost: int) -> None:
        start = 5 + packet[4] if packet[3] & 0x20 else 4
        payload = packet[start:] if packet[3] & 0x10 else b""
        if packet[1] & 0x40:
            self._header = read_header(payload)
            self.open = self._header is not None
            known = None if self._header is None else self._header.total
            self._total = LARGEST_UNIT_BYTES if known is None else known
        if lost != self._lost or packet[1] & 0x80:
            self._damaged, self._lost = True, lost
        self._parts.append(payload)
        self._size += len(payload)
        if self._size > LARGEST_UNIT_BYTES:
            self._header, self.open = None, False

    def _is_whole(self, packet: bytes) -> bool:
        if self._header is None:
            return False
        if self._header.total is not None:
            return self._size >= self._header.total
        self._closed_by_stuffing = self._stuffing_closes and _is_stuffed(packet)
        return self._closed_by_stuffing


def _is_stuffed(packet: bytes) -> bool:
    """Whether an adaptation field beside the payload is longer than what it holds."""
    if packet[3] & 0x30 != 0x30:
        return False
    size = packet[4]
    if size == 0:
        return True
    flags = packet[5]
    if flags & 7:  # splicing, private data, extension: not counted here
        return False
    return size > 1 + (6 if flags & 0x10 else 0) + (6 if flags & 8 else 0)
