"""Packets, sections and PES headers."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeprt.engine.errors import UsageError
from keeprt.engine.live.timeline import WRAP
from keeprt.engine.live.ts.packets import (
    PACKET_BYTES,
    PCR_WRAP,
    Aligner,
    packetise,
    payload_of,
    pcr_of,
    pcr_packet,
    pid_of,
)
from keeprt.engine.live.ts.pes import moved, pes_packet, read_header
from keeprt.engine.live.ts.psi import Program, crc32_mpeg, with_stream_type
from tests.engine.live.ts.streams import CUE, stream

times = st.integers(0, WRAP - 1)


@given(
    st.binary(min_size=1, max_size=800),
    st.integers(0, 15),
    st.booleans(),
    st.none() | st.integers(0, PCR_WRAP - 1),
)
def test_what_was_packetised_is_read_back(
    data: bytes, counter: int, key: bool, pcr: int | None
) -> None:
    packets, after = packetise(0x123, counter, data, key=key, pcr=pcr)
    assert all(len(p) == PACKET_BYTES and pid_of(p) == 0x123 for p in packets)
    assert b"".join(map(payload_of, packets)) == data
    assert [p[3] & 15 for p in packets] == [(counter + n) & 15 for n in range(len(packets))]
    assert after == (counter + len(packets)) & 15
    assert [bool(p[1] & 0x40) for p in packets] == [True] + [False] * (len(packets) - 1)
    assert pcr_of(packets[0]) == pcr and all(pcr_of(p) is None for p in packets[1:])
    assert bool(packets[0][3] & 0x20 and packets[0][4] and packets[0][5] & 0x40) == key


@given(st.integers(0, PCR_WRAP - 1))
def test_a_clock_alone_has_no_payload(pcr: int) -> None:
    packet = pcr_packet(0x100, 7, pcr)
    assert len(packet) == PACKET_BYTES and pcr_of(packet) == pcr and payload_of(packet) == b""


@given(times, st.none() | times, st.integers(-WRAP, WRAP), st.binary(max_size=50))
def test_times_are_read_back_and_moved(pts: int, dts: int | None, ticks: int, data: bytes) -> None:
    pes = pes_packet(data, pts, dts)
    header = read_header(pes)
    assert header is not None and header.total == len(pes) and pes[header.size :] == data
    assert (header.pts, header.dts) == (pts, pts if dts is None else dts)
    (packet,), _ = packetise(0x100, 0, pes, pcr=pts * 300)
    there = moved(packet, ticks)
    after = read_header(payload_of(there))
    assert after is not None and after.pts == (pts + ticks) % WRAP
    assert after.dts == ((pts if dts is None else dts) + ticks) % WRAP
    assert pcr_of(there) == (pts + ticks) % WRAP * 300
    assert moved(there, -ticks) == packet


def test_a_unit_too_long_for_16_bits_gives_no_length() -> None:
    header = read_header(pes_packet(bytes(70_000), 5))
    assert header is not None and header.total is None


def test_packets_are_found_in_pieces_of_any_size() -> None:
    data, random_ = stream(10), random.Random(0)
    aligner, packets, at = Aligner(), [], 0
    while at < len(data):
        step = random_.randrange(1, 700)
        packets += aligner.push(data[at : at + step])
        at += step
    assert b"".join(packets) == data and aligner.lost_syncs == 0


@pytest.mark.parametrize("noise", [b"\x00" * 100, b"\x47" * 50, b"\x47" + b"\x00" * 187 + b"\x01"])
def test_sync_is_found_again_after_noise(noise: bytes) -> None:
    data = stream(10)
    cut = 40 * PACKET_BYTES
    aligner = Aligner()
    packets = aligner.push(data[:cut] + noise + data[cut:])
    assert aligner.lost_syncs >= 1
    assert packets[:40] == [data[n : n + PACKET_BYTES] for n in range(0, cut, PACKET_BYTES)]
    assert b"".join(packets[-50:]) == data[-50 * PACKET_BYTES :]


def test_checksums_are_those_of_other_programs() -> None:
    assert crc32_mpeg(CUE) == 0 and crc32_mpeg(b"123456789") == 0x0376E6E7


def test_tables_say_what_the_stream_holds() -> None:
    program = Program()
    for at in range(0, 20 * PACKET_BYTES, PACKET_BYTES):
        packet = stream(10)[at : at + PACKET_BYTES]
        program.push(packet, pid_of(packet))
    assert program.video is not None and program.video.video_codec == "h264"
    assert program.pcr_pid == program.video.pid and program.versions == 1
    assert [s.stream_type for s in program.streams] == [0x1B, 0x0F, 0x86]
    assert program.streams[2].descriptors == b"\x05\x04CUEI"


def test_a_damaged_table_changes_nothing() -> None:
    data = bytearray(stream(10)[: 20 * PACKET_BYTES])
    program = Program()
    for at in range(0, len(data), PACKET_BYTES):
        packet = bytearray(data[at : at + PACKET_BYTES])
        if pid_of(packet) == program.pmt_pid or pid_of(packet) == 0:
            packet[17] ^= 4
        program.push(bytes(packet), pid_of(packet))
    assert program.pmt_pid is None and program.pat.damaged >= 1


def test_a_table_names_another_codec_with_its_checksum() -> None:
    program, data = Program(), stream(10)
    for at in range(0, len(data), PACKET_BYTES):
        packet = data[at : at + PACKET_BYTES]
        pid = pid_of(packet)
        if pid == program.pmt_pid and program.video is None:
            packet = with_stream_type(packet, 0x100, 0x24)
        program.push(packet, pid)
        if program.video is not None:
            break
    assert program.video is not None and program.video.video_codec == "hevc"
    with pytest.raises(UsageError, match="several packets"):
        with_stream_type(packet[:1] + b"\x00" + packet[2:], 0x100, 0x24)
