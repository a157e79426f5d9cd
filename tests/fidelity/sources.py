"""Small clips that each have one property, for the fidelity sheet."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags

from tests.engine.live.ts import streams as live
from tests.engine.media.clips import Clip, make_clip, picture, to_frame

COUNT, WIDTH, HEIGHT = 12, 256, 144
HDR = (
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    ":max-cll=1000,400:log-level=none"
)
_RATE = 48000


def plain(path: Path, codec: str = "libx264") -> Path:
    """Progressive 4:2:0 of 8 bits, 25 frames a second."""
    return of(path, pts=tuple(range(COUNT)), codec=codec)


def of(path: Path, **how: object) -> Path:
    """A clip of `Clip`'s properties."""
    size = {"width": WIDTH, "height": HEIGHT}
    return make_clip(path.with_suffix(".mp4"), Clip(**(size | how)))  # type: ignore[arg-type]


def samples(path: Path, pixel_format: str, codec: str = "ffv1", **options: str) -> Path:
    """A clip of these samples, without loss unless another codec is named."""
    path = path.with_suffix(".mkv")
    fields = options.pop("fields", None)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, width=WIDTH, height=HEIGHT, options=options)
        stream.pix_fmt = pixel_format
        if fields:
            stream.codec_context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        for index in range(COUNT):
            frame = to_frame(picture(index, WIDTH, HEIGHT), pixel_format)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def hdr(path: Path) -> Path:
    """HDR10: PQ, BT.2020, mastering display, light level, chroma at the top left."""
    params = f"{HDR}:chromaloc=2:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    return samples(path, "yuv420p10le", "libx265", preset="ultrafast", **{"x265-params": params})


def interlaced(path: Path) -> Path:
    """Top field first."""
    return samples(path, "yuv420p", "libx264", fields="1", **{"x264-params": "tff=1"})


def timecode(path: Path) -> Path:
    """A timecode track of QuickTime."""
    path = path.with_suffix(".mov")
    with av.open(str(plain(path.with_name("plain")))) as read, av.open(str(path), "w") as out:
        target = out.add_stream_from_template(read.streams.video[0])
        target.metadata["timecode"] = "10:00:00:00"
        for packet in _packets(read, target):
            out.mux_one(packet)
    return path


def sound(path: Path, codec: str, suffix: str = ".mkv") -> Path:
    """A clip with half a second of a tone in this codec, in Danish."""
    windows = codec.startswith("wma")
    path = path.with_suffix(".wmv" if windows else suffix)
    picture = plain(path.with_name("plain"), "mpeg4" if windows else "libx264")
    with av.open(str(picture)) as read, av.open(str(path), "w") as out:
        target = out.add_stream_from_template(read.streams.video[0])
        strict = {"strict": "experimental"} if codec == "vorbis" else {}
        stream = out.add_stream(codec, rate=_RATE, layout="stereo", options=strict)
        stream.metadata["language"], stream.bit_rate = "dan", 128_000
        for packet in _packets(read, target):
            out.mux_one(packet)
        wave = (np.sin(np.arange(_RATE // 2) * 0.06) * 9000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(
            np.stack([wave, wave]).T.reshape(1, -1), format="s16", layout="stereo"
        )
        frame.sample_rate, frame.pts, frame.time_base = _RATE, 0, Fraction(1, _RATE)
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def announced(path: Path) -> Path:
    """A transport stream that announces sound which never comes."""
    path = sound(path, "mp2", ".ts")
    data = path.read_bytes()
    split = (data[at : at + 188] for at in range(0, len(data), 188))
    path.write_bytes(b"".join(p for p in split if (p[1] & 31) << 8 | p[2] != 0x101))
    return path


def text(path: Path, codec: str) -> Path:
    """Subtitles of this codec; bitmaps and teletext hold no text that can be read."""
    suffix = {"mov_text": ".mp4", "dvb_subtitle": ".ts", "dvb_teletext": ".ts"}.get(codec, ".mkv")
    bodies = {
        "mov_text": b"\0\5Hello",
        "ass": b"0,0,Default,,0,0,0,,Hello",
        "dvb_teletext": b"\x10\x02\x2c\xe7\xe4" + bytes(42),
        "dvb_subtitle": b"\x20\0\x0f\x10\0\1\0\2\0\0\xff",
        "hdmv_pgs_subtitle": b"\x16\0\x0b\1\0\0\x90\x10\0\0\x80\0\0\0" + b"\x80\0\0",
    }
    return _with_packets(path.with_suffix(suffix), codec, bodies.get(codec, b"Hello"))


def data(path: Path, codec: str) -> Path:
    """A transport stream with a stream of data."""
    body = bytes.fromhex("060e2b34020b01010e01030101000000") + b"\4abcd"
    return _with_packets(path.with_suffix(".ts"), codec, body)


def cues(path: Path) -> Path:
    """A transport stream with SCTE-35."""
    path = path.with_suffix(".ts")
    path.write_bytes(live.stream(COUNT))
    return path


def attached(path: Path) -> Path:
    """A cover picture, a font and two chapters in Matroska."""
    path = path.with_suffix(".mkv")
    jpeg = path.with_name("cover.jpg")
    make_clip(jpeg, Clip(pts=(0,), codec="mjpeg", pixel_format="yuvj420p"))
    with av.open(str(plain(path.with_name("plain")))) as read, av.open(str(path), "w") as out:
        out.metadata["title"] = "A clip"
        target = out.add_stream_from_template(read.streams.video[0])
        out.add_attachment("cover.jpg", "image/jpeg", jpeg.read_bytes())
        out.add_attachment("a.ttf", "application/x-truetype-font", b"no font")
        parts = ((1, 0, 240, "One"), (2, 240, 480, "Two"))
        out.set_chapters(
            [
                {
                    "id": number,
                    "start": start,
                    "end": end,
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": title},
                }
                for number, start, end, title in parts
            ]
        )
        for packet in _packets(read, target):
            out.mux_one(packet)
    return path


def captions(path: Path) -> Path:
    """CEA-708 captions in H.264 (ATSC A/53 part 4)."""

    def body(number: int) -> bytes:
        triplets = b"\xfc\x94\x20\xfc" + bytes([0x41 + number, 0x80])
        return b"\xb5\0\x31GA94\x03\x42\xff" + triplets + b"\xff"

    return _with_user_data(path, body)


def active_format(path: Path) -> Path:
    """An active format description in H.264 (ETSI TS 101 154, annex B)."""
    return _with_user_data(path, lambda number: b"\xb5\0\x31DTG1\x41\xfa")


def stereo(path: Path) -> Path:
    """Two views side by side in one picture."""
    return samples(path, "yuv420p", "libx264", **{"x264-params": "frame-packing=3"})


def _with_user_data(path: Path, body: Callable[[int], bytes]) -> Path:
    path = path.with_suffix(".mkv")
    with av.open(str(plain(path.with_name("plain")))) as read, av.open(str(path), "w") as out:
        target = out.add_stream_from_template(read.streams.video[0])
        for number, packet in enumerate(_packets(read, target)):
            unit = _user_unit(body(number))
            new = av.Packet(struct.pack(">I", len(unit)) + unit + bytes(packet))
            new.pts, new.dts, new.duration = packet.pts, packet.dts, packet.duration
            new.time_base, new.is_keyframe = packet.time_base, packet.is_keyframe
            new.stream = target
            out.mux_one(new)
    return path


def _user_unit(body: bytes) -> bytes:
    """An SEI unit for H.264 that holds registered user data."""
    unit, zeros = bytearray(b"\x06"), 0
    for byte in bytes([4, len(body)]) + body + b"\x80":
        if zeros >= 2 and byte <= 3:
            unit.append(3)
            zeros = 0
        unit.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(unit)


def _with_packets(path: Path, codec: str, body: bytes) -> Path:
    with av.open(str(plain(path.with_name("plain")))) as read, av.open(str(path), "w") as out:
        target = out.add_stream_from_template(read.streams.video[0])
        stream = out.add_stream("ass") if codec == "ass" else out.add_mux_stream(codec)
        if codec == "ass":
            stream.codec_context.subtitle_header = b"[Script Info]\r\n[Events]\r\n"
        stream.time_base = Fraction(1, 1000)
        for number, packet in enumerate(_packets(read, target)):
            out.mux_one(packet)
            if number % 4 == 0:
                one = av.Packet(body)
                one.stream, one.time_base = stream, Fraction(1, 1000)
                one.pts = one.dts = number * 40
                one.duration = 100
                out.mux_one(one)
    return path


def _packets(
    read: av.container.InputContainer, target: av.stream.Stream
) -> Iterator[av.Packet[av.stream.Stream]]:
    for packet in read.demux(read.streams.video[0]):
        if packet.dts is not None:
            packet.stream = target
            yield packet
