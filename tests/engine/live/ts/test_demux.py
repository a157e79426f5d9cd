"""The demuxer: no unit waits for the next, and damage costs no more than what it hit."""

import random
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from keeprt.engine.live.ts.demux import AccessUnit, Demux, Passed
from keeprt.engine.live.ts.packets import PACKET_BYTES, pid_of
from tests.engine.live.ts.streams import FPS, arrivals, stream


def units_of(data: bytes) -> tuple[list[AccessUnit], Demux]:
    demux = Demux()
    events = [event for at, piece in arrivals(data) for event in demux.push(piece, at)]
    return [e for e in events if isinstance(e, AccessUnit)] + demux.finish(), demux


@pytest.mark.parametrize("known_lengths", [True, False])
def test_each_unit_comes_with_its_last_byte(known_lengths: bool) -> None:
    """Demuxer, encoder and muxer: a unit in, the same unit out, none waits for the next."""
    demux, seen = Demux(), []
    for at, piece in arrivals(stream(30, known_lengths)):
        units = [e for e in demux.push(piece, at) if isinstance(e, AccessUnit)]
        seen.append(len(units))
        assert all(unit.arrival_s == at and not unit.damaged for unit in units)
    assert seen == [1] * 30 and demux.finish() == [] and demux.counts == {}


def test_units_are_what_ffmpeg_reads(tmp_path: Path) -> None:
    data = stream(30)
    path = tmp_path / "stream.ts"
    path.write_bytes(data)
    units, _ = units_of(data)
    with av.open(path) as container:
        packets = [bytes(p) for p in container.demux(video=0) if p.size]
    assert [unit.data for unit in units] == packets
    assert [unit.pts for unit in units] == [units[0].pts + n * 90_000 // FPS for n in range(30)]


def test_a_decoder_with_slice_threads_gives_each_picture_at_once() -> None:
    units, _ = units_of(stream(30))
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_type = "SLICE"
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 320, 180, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 90_000), Fraction(FPS)
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency"}
    for unit in units:
        packet = av.Packet(unit.data)
        packet.pts, packet.time_base = unit.pts, Fraction(1, 90_000)
        frames = decoder.decode(packet)
        assert len(frames) == 1 and frames[0].pts == unit.pts
        frames[0].pict_type = av.video.frame.PictureType.NONE
        assert len(encoder.encode(frames[0])) == 1


def test_what_is_not_the_picture_passes_as_it_is() -> None:
    data = stream(30)
    demux = Demux()
    events = [event for at, piece in arrivals(data) for event in demux.push(piece, at)]
    packets = [data[n : n + PACKET_BYTES] for n in range(0, len(data), PACKET_BYTES)]
    others = [packet for packet in packets if pid_of(packet) != 0x100]
    assert [event.packet for event in events if isinstance(event, Passed)] == others
    assert demux.clock_pcr is not None


def test_a_unit_that_goes_on_after_its_stuffing_is_learned_from() -> None:
    data = bytearray(stream(30, known_lengths=False))
    video = [
        at
        for at in range(0, len(data), PACKET_BYTES)
        if pid_of(data[at : at + 4]) == 0x100 and not data[at + 1] & 0x40
    ]
    packet = data[video[2] : video[2] + PACKET_BYTES]
    assert not packet[3] & 0x20
    packet[3:6] = bytes((packet[3] | 0x20, 1, 0))  # an adaptation field: the stuffing of one byte
    packet[4:7] = bytes((2, 0, 0xFF))
    data[video[2] : video[2] + PACKET_BYTES] = packet
    units, _ = units_of(bytes(data))
    assert len(units) == 30 and units[-1].data == units_of(stream(30, False))[0][-1].data


def damage(data: bytes, how: str, share: float, seed: int = 1) -> tuple[bytes, int]:
    """The stream with some of its packets lost, doubled or flipped, and how many."""
    random_, out, hit = random.Random(seed), [], 0
    for at in range(0, len(data), PACKET_BYTES):
        packet = data[at : at + PACKET_BYTES]
        strikes = at > 40 * PACKET_BYTES and random_.random() < share
        hit += strikes
        if strikes and how == "lost":
            continue
        if strikes and how == "flipped":
            flipped = bytearray(packet)
            flipped[random_.randrange(188)] ^= 1 << random_.randrange(8)
            packet = bytes(flipped)
        out.append(packet)
        if strikes and how == "doubled":
            out.append(packet)
        if strikes and how == "cut":
            out.append(bytes(random_.randrange(1, 187)))
    return b"".join(out), hit


@pytest.mark.parametrize("share", [0.001, 0.01, 0.05])
def test_lost_packets_are_counted_and_their_units_marked(share: float) -> None:
    clean, _ = units_of(stream(75))
    data, lost = damage(stream(75), "lost", share)
    units, demux = units_of(data)
    whole = {unit.data for unit in clean}
    assert all(unit.data in whole for unit in units[:-1] if not unit.damaged)
    # Neighbours that are lost are one gap; one in sixteen in a row would be none.
    assert lost * 0.8 <= demux.counts.get("continuity", 0) + 2 and lost
    assert len(units) >= 75 - lost


def test_doubled_packets_are_left_out_and_counted() -> None:
    clean, _ = units_of(stream(75))
    data, doubled = damage(stream(75), "doubled", 0.01)
    units, demux = units_of(data)
    assert [(u.data, u.pts, u.damaged) for u in units] == [(u.data, u.pts, False) for u in clean]
    assert demux.counts["duplicate"] == doubled and "continuity" not in demux.counts


@pytest.mark.parametrize("share", [0.001, 0.01, 0.05])
@pytest.mark.parametrize("how", ["flipped", "cut"])
def test_damage_raises_nothing_and_ends_with_the_unit(how: str, share: float) -> None:
    clean, _ = units_of(stream(75))
    for seed in range(5):
        data, hit = damage(stream(75), how, share, seed)
        demux = Demux()
        events = [e for n in range(0, len(data), 1316) for e in demux.push(data[n : n + 1316], n)]
        units = [e.data for e in events if isinstance(e, AccessUnit)]
        same = len({unit.data for unit in clean} & set(units))
        assert same >= 75 - 2 * hit - 2
        if how == "cut" and hit:
            assert demux.counts["lost sync"] >= hit * 0.8


def test_bytes_of_nothing_are_nothing() -> None:
    random_ = random.Random(0)
    demux = Demux()
    for _ in range(300):
        noise = random_.randbytes(random_.randrange(1, 2000))
        assert not any(isinstance(e, AccessUnit) for e in demux.push(noise, 0.0))
    for _ in range(300):
        packets = b"".join(b"\x47" + random_.randbytes(187) for _ in range(7))
        demux.push(packets, 0.0)


def test_noise_in_the_picture_is_noise_only() -> None:
    rng = np.random.default_rng(0)
    demux, data = Demux(), stream(30)
    demux.push(data[: 40 * PACKET_BYTES], 0.0)
    for _ in range(500):
        body = rng.integers(0, 256, 185, np.uint8).tobytes()
        demux.push(b"\x47" + bytes((0x41 if body[0] & 1 else 0x01, 0)) + body, 0.0)
    after = [e for e in demux.push(data, 1.0) if isinstance(e, AccessUnit)]
    assert [u.data for u in after[-29:]] == [u.data for u in units_of(data)[0][-29:]]
