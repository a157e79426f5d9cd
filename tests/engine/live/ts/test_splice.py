"""The splice: only the picture is ours, everything else comes out as it went in."""

import shutil
import subprocess
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from keeprt.engine.live.ts.checks import Checks
from keeprt.engine.live.ts.demux import AccessUnit, Demux, Passed
from keeprt.engine.live.ts.packets import PACKET_BYTES, PCR_HZ, payload_of, pcr_of, pid_of
from keeprt.engine.live.ts.pes import read_header
from keeprt.engine.live.ts.psi import Program
from keeprt.engine.live.ts.splice import Splice
from tests.engine.live.ts.streams import CUE_PID, arrivals, stream

DELAY_S = 0.16
VIDEO = 0x100


@dataclass
class Output:
    """A stream through demuxer and splice in simulated time, its pictures sent as they came."""

    splice: Splice | None = None
    demux: Demux = field(default_factory=Demux)
    sent: list[tuple[float, bytes]] = field(default_factory=list)
    origin: int | None = None  # PCR of the time 0

    def run(self, data: bytes, start_s: float = 0.0, shift: int = 0) -> "Output":
        due: list[tuple[float, AccessUnit]] = []
        for at_s, piece in arrivals(data):
            at_s += start_s
            for event in self.demux.push(piece, at_s):
                self.take(event, due)
            for step in range(4):
                now_s = at_s + step * 0.01
                while due and due[0][0] <= now_s + 1e-9:
                    self.send(due.pop(0)[1], shift, now_s)
                self.pull(now_s)
        end_s = due[-1][0]
        for step in range(100):
            now_s = at_s + 0.04 + step * 0.01
            while due and due[0][0] <= now_s + 1e-9:
                self.send(due.pop(0)[1], shift, now_s)
            if now_s <= end_s + 0.01:
                self.pull(now_s)
        return self

    def take(self, event: AccessUnit | Passed, due: list[tuple[float, AccessUnit]]) -> None:
        if self.splice is None and self.demux.program.video is not None:
            pcr_pid = self.demux.program.pcr_pid
            assert pcr_pid is not None
            self.splice = Splice(self.demux.program.video.pid, pcr_pid, DELAY_S, self.pcr)
        if isinstance(event, AccessUnit):
            due.append((event.arrival_s + DELAY_S, event))
            if self.origin is None and self.demux.clock_pcr is not None:
                self.origin = self.demux.clock_pcr
        elif self.splice is not None:
            self.splice.passed(event.packet, event.pid, event.arrival_s)

    def send(self, unit: AccessUnit, shift: int, now_s: float) -> None:
        assert self.splice is not None and unit.pts is not None
        key = b"\x00\x00\x01\x65" in unit.data
        self.splice.video(unit.data, unit.pts + shift, key=key, now_s=now_s)

    def pcr(self, now_s: float) -> int:
        assert self.origin is not None
        return self.origin + round((now_s - DELAY_S) * PCR_HZ)

    def pull(self, now_s: float) -> None:
        if self.splice is not None and (out := self.splice.pull(now_s)):
            self.sent.append((now_s, out))

    @property
    def data(self) -> bytes:
        return b"".join(out for _, out in self.sent)


def packets(data: bytes) -> list[bytes]:
    return [data[n : n + PACKET_BYTES] for n in range(0, len(data), PACKET_BYTES)]


def others(data: bytes) -> list[bytes]:
    return [packet for packet in packets(data) if pid_of(packet) != VIDEO]


def checked(output: Output) -> Checks:
    checks, program = Checks(), Program()
    for now_s, data in output.sent:
        for packet in packets(data):
            program.push(packet, pid_of(packet))
            checks.pmt_pid, checks.pcr_pid = program.pmt_pid, program.pcr_pid
            checks.see(packet, pid_of(packet), now_s)
    return checks


def test_everything_but_the_picture_is_byte_for_byte_the_source() -> None:
    source = stream(75)
    output = Output().run(source)
    first = others(source).index(others(output.data)[0])
    assert first <= 2 and others(output.data) == others(source)[first:]


def test_counters_tables_and_clocks_are_in_order() -> None:
    output = Output().run(stream(75))
    checks = checked(output)
    assert checks.counts == {}
    assert checks.longest_s["PAT"] <= 0.5 and checks.longest_s["PMT"] <= 0.5
    assert checks.longest_s["PCR"] <= 0.04
    clocks = [pcr for p in packets(output.data) if (pcr := pcr_of(p)) is not None]
    assert all(0 < b - a <= 0.04 * PCR_HZ for a, b in pairwise(clocks))


def test_pictures_are_the_encoders_with_their_times_and_ahead_of_the_clock() -> None:
    source = stream(75)
    sent, clock = [], 0
    for packet in packets(Output().run(source).data):
        clock = pcr_of(packet) if pcr_of(packet) is not None else clock
        if pid_of(packet) == VIDEO and packet[1] & 0x40:
            header = read_header(payload_of(packet))
            assert header is not None and header.pts is not None
            assert header.pts * 300 >= clock  # type: ignore[operator]
            sent.append(header.pts)
    assert len(sent) == 75 and {b - a for a, b in pairwise(sent)} == {3600}
    demux = Demux()
    again = [e for e in demux.push(Output().run(source).data, 0.0) if isinstance(e, AccessUnit)]
    first = [e for e in Demux().push(source, 0.0) if isinstance(e, AccessUnit)]
    assert [unit.data for unit in again] == [unit.data for unit in first]


def test_all_cues_are_decoded() -> None:
    threefive = pytest.importorskip("threefive", reason="threefive decodes SCTE-35 in this test")
    cues = [p for p in packets(Output().run(stream(75)).data) if pid_of(p) == CUE_PID]
    assert len(cues) == 6
    for packet in cues:
        cue = threefive.Cue(packet)
        assert cue.decode() and cue.command.splice_event_id == 0x4800008F
        assert cue.command.pts_time == pytest.approx(21514.559089)


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="no ffprobe on this machine")
def test_ffprobe_says_nothing_of_it(tmp_path: Path) -> None:
    path = tmp_path / "out.ts"
    path.write_bytes(Output().run(stream(75)).data)
    command = ["ffprobe", "-v", "error", "-count_packets", "-select_streams", "v"]
    command += ["-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == "" and done.stdout.split()[0].strip(",") == "75"


def test_a_source_that_begins_again_goes_on_in_counters_and_times() -> None:
    """75 pictures, a pause, the same stream again: its times are moved to go on."""
    source, output = stream(75), Output().run(stream(75))
    assert output.splice is not None
    output.splice.hold()
    output.splice.passed(others(source)[10], 0x101, 3.5)
    assert output.splice.counts["left out"] == 1
    shift = 4 * 90_000
    output.splice.join(shift)
    before = len(output.sent)
    output.demux = Demux()
    output.run(source, start_s=4.0, shift=shift)
    assert checked(output).counts.keys() <= {"PAT interval", "PMT interval", "PCR interval"}
    again = packets(b"".join(out for _, out in output.sent[before:]))
    first = packets(b"".join(out for _, out in output.sent[:before]))
    for pid in (VIDEO, 0x101):
        times = [
            [read_header(payload_of(p)).pts for p in part if pid_of(p) == pid and p[1] & 0x40]  # type: ignore[union-attr]
            for part in (first, again)
        ]
        assert times[1] == [pts + shift for pts in times[0]]  # type: ignore[operator]
    threefive = pytest.importorskip("threefive", reason="threefive decodes SCTE-35 in this test")
    cue = threefive.Cue(next(p for p in again if pid_of(p) == CUE_PID))
    assert cue.decode() and cue.info_section.pts_adjustment == pytest.approx(4.0)
