"""Captions: the same text in and out, nothing doubled on repeats, nothing lost on drops."""

import io
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeprt.engine.live.captions import CaptionQueue, caption_message, insert_captions
from keeprt.engine.live.nal import escaped, first_picture, units
from keeprt.engine.media.pyav import side_data

PERIOD = Fraction(1001, 30_000)
LOAD, ERASE_HIDDEN, ROW, SHOW, ERASE = ((0x14, low) for low in (0x20, 0x2E, 0x70, 0x2F, 0x2C))


def odd(byte: int) -> int:
    return byte & 0x7F | (0x80 if bin(byte & 0x7F).count("1") % 2 == 0 else 0)


def pair(first: int, second: int, field: int = 0) -> bytes:
    return bytes((0xFC | field, odd(first), odd(second)))


def caption(text: str) -> list[bytes]:
    """A caption that pops on, a pair a frame, control codes twice as the standard has them."""
    text += " " * (len(text) % 2)
    letters = [pair(ord(a), ord(b)) for a, b in zip(text[::2], text[1::2], strict=True)]
    control = [pair(*code) for code in (LOAD, LOAD, ERASE_HIDDEN, ERASE_HIDDEN, ROW, ROW)]
    return [*control, *letters, pair(*SHOW), pair(*SHOW)]


def text_of(given: list[bytes]) -> list[bytes]:
    """Field 1's pairs, padding left out."""
    triplets = [cc[n : n + 3] for cc in given for n in range(0, len(cc), 3)]
    return [t for t in triplets if t[0] & 7 == 4 and t[1:] != b"\x80\x80"]


def test_a_repeat_gives_padding_and_a_drop_gives_both_later() -> None:
    queue, sent = CaptionQueue(PERIOD), []
    pairs = caption("HELLO LIVE")
    for number, one in enumerate(pairs):
        queue.take(one)
        if number % 4 != 1:  # dropped: taken, and nothing goes out
            sent.append(queue.give())
        if number % 5 == 2:  # repeated
            sent.append(queue.give())
    sent += [queue.give() for _ in range(10)]
    assert text_of(sent) == pairs and queue.waiting == 0 and queue.dropped == 0


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 2), max_size=3), st.integers(0, 3)), max_size=60),
    st.sampled_from([Fraction(1, 25), PERIOD, PERIOD / 2, Fraction(1, 50)]),
)
def test_every_triplet_goes_out_once_in_its_order(
    frames: list[tuple[list[int], int]], period: Fraction
) -> None:
    """Frames with any captions, each of which goes out not at all, once, or again."""
    queue, taken, sent, number = CaptionQueue(period), [], b"", 0
    for kinds, shown in frames:
        for kind in (0, 1, 3)[: len(kinds)]:
            number += 1
            taken.append(bytes((0xFC | kind, number % 120 + 1, 0x40 + number // 120)))
        queue.take(b"".join(taken[-len(kinds) :]) if kinds else b"")
        for _ in range(shown):
            given = queue.give()
            assert len(given) // 3 <= 600 * period
            sent += given
    for _ in range(200):
        sent += queue.give()
    assert queue.waiting == 0 and queue.dropped == 0
    out = [sent[n : n + 3] for n in range(0, len(sent), 3)]
    for kind in (0, 1, 3):
        mine = [t for t in out if t[0] & 3 == kind and t[1:] != b"\x80\x80"]
        assert mine == [t for t in taken if t[0] & 3 == kind]


def test_nothing_is_added_to_a_stream_without_captions() -> None:
    queue = CaptionQueue(PERIOD)
    queue.take(bytes((0xF8, 0x80, 0x80, 0xFA, 0, 0)))
    assert queue.give() == b"" and insert_captions(b"\x00\x00\x01\x65", b"", "h264")[-1] == 0x65


def test_what_waits_is_bounded() -> None:
    queue = CaptionQueue(PERIOD)
    for _ in range(4000):
        queue.take(pair(0x41, 0x42) + bytes((0xFF, 1, 2)) * 4)
    assert queue.waiting <= 3000 and queue.dropped > 0


@pytest.mark.parametrize(
    "codec, before, slices",
    [("h264", b"\x09\xf0", b"\x65\x88"), ("hevc", b"\x46\x01\x10", b"\x26\x01\xaf")],
)
def test_the_message_goes_before_the_first_slice(codec: str, before: bytes, slices: bytes) -> None:
    start = b"\x00\x00\x00\x01"
    unit = start + before + start + slices + b"\x00\x00\x01" + slices
    out = insert_captions(unit, pair(0x41, 0x42), codec)  # type: ignore[arg-type]
    assert out.startswith(start + before + start) and out.endswith(unit[len(start + before) :])
    kinds = [kind for _, kind in units(out, codec)]  # type: ignore[arg-type]
    assert kinds[1] == (6 if codec == "h264" else 39) and len(kinds) == 4
    assert first_picture(start + before, codec) == len(start + before)  # type: ignore[arg-type]


@given(st.binary(max_size=60))
def test_escaped_bytes_hold_no_start_and_are_read_back(data: bytes) -> None:
    out = escaped(data + b"\x80")
    assert not any(bytes((0, 0, low)) in out for low in range(3))
    back, zeros = bytearray(), 0
    for byte in out:
        if zeros >= 2 and byte == 3:
            zeros = 0
            continue
        back.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    assert bytes(back) == data + b"\x80"


def test_a_message_says_how_many_triplets_it_holds() -> None:
    message = caption_message(pair(0x41, 0x42) * 5)
    assert (
        message[1] == len(message) - 3
        and message[10] == 0x45
        and message[2:10] == b"\xb5\x001GA94\x03"
    )


def encoded(codec: str, shown: list[bytes]) -> bytes:
    """A stream whose pictures carry the triplets."""
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        video = container.add_stream(codec, rate=30)
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        video.options = {"preset": "ultrafast", "tune": "zerolatency", "x265-params": "log-level=0"}
        kind = "h264" if codec == "libx264" else "hevc"
        for number, triplets in enumerate(shown):
            grey = np.full((270, 320), 40 + number, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            for packet in video.encode(frame):
                data = insert_captions(bytes(packet), triplets, kind)  # type: ignore[arg-type]
                held = av.Packet(data)
                held.pts, held.dts, held.time_base = packet.pts, packet.dts, packet.time_base
                held.stream, held.is_keyframe = video, packet.is_keyframe
                container.mux(held)
    return file.getvalue()


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_ffmpegs_decoder_gives_back_the_triplets(codec: str) -> None:
    queue, shown = CaptionQueue(Fraction(1, 30)), []
    for one in [*caption("HELLO LIVE"), *[b""] * 10]:
        queue.take(one)
        shown.append(queue.give())
    with av.open(io.BytesIO(encoded(codec, shown))) as container:
        seen = []
        for frame in container.decode(video=0):
            held = [bytes(s) for s in side_data(frame) if s.type.name == "A53_CC"]
            seen.append(b"".join(held))
    assert seen == shown


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on this machine")
def test_the_text_is_read_by_another_program(tmp_path: Path) -> None:
    queue, shown = CaptionQueue(Fraction(1, 30)), []
    for number, one in enumerate([*caption("HELLO LIVE"), *[b""] * 20, pair(*ERASE), *[b""] * 9]):
        queue.take(one)
        if number % 7 != 3:
            shown.append(queue.give())
        if number % 9 == 4:
            shown.append(queue.give())
    (tmp_path / "captions.ts").write_bytes(encoded("libx264", shown))
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "movie=captions.ts[out0+subcc]"]
    command += ["-map", "s", "-f", "srt", "-"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.count("HELLO LIVE") == 1 and "HHEE" not in done.stdout
