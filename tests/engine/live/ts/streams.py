"""Transport streams for tests: picture and sound by PyAV, with SCTE-35 cues put in."""

import io
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from itertools import pairwise

import av
import numpy as np

from keeprt.engine.live.ts.packets import PACKET_BYTES, pid_of
from keeprt.engine.live.ts.psi import Program, crc32_mpeg

FPS = 25
CUE_PID = 0x1F0
#: splice_insert, out of network, of the standard's own sample.
CUE = bytes.fromhex(
    "fc302f000000000000fffff014054800008f7feffe7369c02efe0052ccf500000000000a0008435545490000013562dba30a"
)


@cache
def stream(frames: int = 75, known_lengths: bool = True, bit_rate: int = 800_000) -> bytes:
    """H.264 and AAC, 25 pictures a second, PCR on the picture, a cue every 12 pictures."""
    raw = _muxed(frames, known_lengths, bit_rate)
    packets = [raw[n : n + PACKET_BYTES] for n in range(0, len(raw), PACKET_BYTES)]
    program, out, pictures, cues = Program(), [], 0, 0
    for packet in packets:
        pid = pid_of(packet)
        program.push(packet, pid)
        if pid == program.pmt_pid:
            packet = _with_cue_stream(packet)
        video = program.video
        if video and pid == video.pid and packet[1] & 0x40:
            pictures += 1
            if pictures % 12 == 0:
                out.append(cue_packet(cues))
                cues += 1
        out.append(packet)
    return b"".join(out)


def _muxed(frames: int, known_lengths: bool, bit_rate: int) -> bytes:
    file = io.BytesIO()
    options = {"omit_video_pes_length": "0" if known_lengths else "1"}
    with av.open(file, "w", format="mpegts", options=options) as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt, video.bit_rate = 320, 180, "yuv420p", bit_rate
        video.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "keyint=25"}
        sound = container.add_stream("aac", rate=48_000, layout="mono")
        rng, sent = np.random.default_rng(0), 0
        for number in range(frames):
            noise = rng.integers(0, 255, (270, 320), np.uint8)
            frame = av.VideoFrame.from_ndarray(noise, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(video.encode(frame))
            while sent < (number + 1) * 48_000 // FPS:
                tone = np.sin(np.arange(sent, sent + 1024) * 0.05).astype(np.float32)[None] / 2
                samples = av.AudioFrame.from_ndarray(tone, "fltp", "mono")
                samples.sample_rate, samples.pts = 48_000, sent
                samples.time_base = Fraction(1, 48_000)
                container.mux(sound.encode(samples))
                sent += 1024
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    return file.getvalue()


def _with_cue_stream(packet: bytes) -> bytes:
    size = 3 + ((packet[6] & 15) << 8 | packet[7])
    section = bytearray(packet[5 : 5 + size - 4])
    section += bytes((0x86, 0xE0 | CUE_PID >> 8, CUE_PID & 0xFF, 0xF0, 6)) + b"\x05\x04CUEI"
    length = len(section) + 4 - 3
    section[1], section[2] = section[1] & 0xF0 | length >> 8, length & 0xFF
    section += crc32_mpeg(bytes(section)).to_bytes(4, "big")
    return (packet[:5] + bytes(section)).ljust(PACKET_BYTES, b"\xff")


def cue_packet(number: int) -> bytes:
    head = bytes((0x47, 0x40 | CUE_PID >> 8, CUE_PID & 0xFF, 0x10 | number & 15, 0))
    return (head + CUE).ljust(PACKET_BYTES, b"\xff")


def arrivals(data: bytes) -> Iterator[tuple[float, bytes]]:
    """The stream as it comes over a network: with each picture all that lies before the next."""
    program, starts = Program(), []
    for at in range(0, len(data), PACKET_BYTES):
        packet = data[at : at + PACKET_BYTES]
        pid = pid_of(packet)
        program.push(packet, pid)
        if program.video and pid == program.video.pid and packet[1] & 0x40:
            starts.append(at)
    for number, (begin, end) in enumerate(pairwise([0, *starts[1:], len(data)])):
        yield number / FPS, data[begin:end]
