"""What the source says of its picture is what the output says: rate, depth, chroma, fields, HDR,
captions; in simulated time, from H.264, HEVC and MPEG-2."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from av.codec.context import Flags

from keeprt.engine.live.captions import captions_in, insert_captions
from keeprt.engine.live.ts.demux import AccessUnit, Demux
from keeprt.engine.live.ts.packets import packetise
from keeprt.engine.live.ts.pes import pes_packet
from keeprt.engine.live.wire.decoding import Decoder
from keeprt.engine.live.wire.intake import describe
from keeprt.engine.live.wire.pictures import Fields
from keeprt.engine.media.info import VideoInfo
from tests.engine.live.wire.test_simulated import Simulated

FIELDS = VideoInfo("", 320, 192, "yuv420p", 8, Fraction(1, 25), field_order="tt")
MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"


@dataclass(frozen=True)
class Made:
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    rate: Fraction = Fraction(25)
    params: str = ""
    interlaced: bool = False
    colour: tuple[int, int, int, int] = (1, 1, 1, 1)  # matrix, range, primaries, transfer
    options: dict[str, str] = field(default_factory=dict)


def stream_of(made: Made, frames: int = 50) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts", options={"pcr_period": "20"}) as container:
        video: Any = container.add_stream(made.codec, rate=made.rate)
        video.width, video.height, video.pix_fmt = 320, 192, made.pixel_format
        video.bit_rate = 1_500_000
        context = video.codec_context
        context.max_b_frames, context.gop_size = 0, 10
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = (
            made.colour
        )
        if made.interlaced:
            context.flags |= Flags.interlaced_dct | Flags.interlaced_me
            context.field_order = 2
        video.options = made.options
        marked = Fields(FIELDS) if made.interlaced else None
        rng = np.random.default_rng(0)
        for number in range(frames):
            grey = np.repeat(rng.integers(30, 220, (24, 40), np.uint8), 8, 0).repeat(8, 1)
            frame = av.VideoFrame.from_ndarray(grey, "gray").reformat(format=made.pixel_format)
            if marked is not None:
                frame = marked.mark(frame)
            frame.pts, frame.time_base = number, 1 / made.rate
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return file.getvalue()


def described(data: bytes) -> VideoInfo:
    demux = Demux()
    units = [one for one in demux.push(data, 0.0) if isinstance(one, AccessUnit)]
    assert demux.program.video is not None
    decoder = Decoder(str(demux.program.video.video_codec))
    for unit in units:
        for decoded in decoder.decode(unit):
            return describe(decoded.frame, decoder)
    raise AssertionError("nothing was decoded")


def last_described(data: bytes) -> VideoInfo:
    """Of the last pictures, from the last key picture on."""
    demux = Demux()
    units = [one for one in demux.push(data, 0.0) if isinstance(one, AccessUnit)]
    decoder = Decoder(str(demux.program.video.video_codec if demux.program.video else ""))
    frames = [decoded.frame for unit in units for decoded in decoder.decode(unit)]
    return describe(frames[-1], decoder)


X264 = {"preset": "ultrafast", "tune": "zerolatency"}
FORMATS = {
    "29.97": Made(rate=Fraction(30000, 1001), options=X264),
    "50": Made(rate=Fraction(50), options=X264),
    "59.94": Made(rate=Fraction(60000, 1001), options=X264),
    "10 bit 4:2:2": Made(pixel_format="yuv422p10le", options=X264),
    "1080i50, top field first": Made(
        interlaced=True, options={"preset": "ultrafast", "x264-params": "tff=1:bframes=0"}
    ),
    "HLG": Made(pixel_format="yuv420p10le", colour=(9, 1, 9, 18), options=X264),
    "HDR10": Made(
        "libx265",
        "yuv420p10le",
        colour=(9, 1, 9, 16),
        options={
            **X264,
            "x265-params": f"log-level=none:master-display={MASTERING}:max-cll=1000,400",
        },
    ),
    "MPEG-2": Made("mpeg2video", options={}),
    "MPEG-2, fields": Made("mpeg2video", interlaced=True, options={}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(FORMATS))
def test_the_output_says_what_the_source_says(name: str) -> None:
    made = FORMATS[name]
    run = Simulated(delay="200ms")
    run.feed(stream_of(made))
    run.idle(0.4 if not made.interlaced else 2.5)  # black must be of the same fields
    before, after = described(stream_of(made)), described(run.data)
    assert run.channel.air is not None
    assert run.channel.air.encoder.wanted.rate == made.rate
    for what in ("width", "height", "pixel_format", "field_order", "mastering", "light_level"):
        assert getattr(after, what) == getattr(before, what), what
    assert after.colour == before.colour
    if name == "HDR10":
        assert after.mastering is not None
        assert after.light_level is not None
    if made.interlaced:
        assert after.field_order == last_described(run.data).field_order == "tt"


def with_captions(data: bytes, shown: list[bytes]) -> bytes:
    """The stream's pictures alone, number k with the triplets `shown[k]`, packed anew."""
    demux, out, number, counter = Demux(), [], 0, 0
    for event in demux.push(data, 0.0):
        if not isinstance(event, AccessUnit):
            out.append(event.packet)
            continue
        assert event.pts is not None
        unit = insert_captions(event.data, shown[number] if number < len(shown) else b"", "h264")
        number += 1
        pcr = (event.pts - 45_000) * 300
        pes = pes_packet(unit, event.pts, event.dts)
        assert demux.program.video is not None
        packets, counter = packetise(demux.program.video.pid, counter, pes, pcr=pcr)
        out += packets
    return b"".join(out)


def captions_of(data: bytes) -> bytes:
    units = [one for one in Demux().push(data, 0.0) if isinstance(one, AccessUnit)]
    triplets = b"".join(captions_in(unit.data, "h264") for unit in units)
    said = [triplets[n : n + 3] for n in range(0, len(triplets), 3)]
    return b"".join(one[1:] for one in said if one[0] == 0xFC and one[1:] != b"\x80\x80")


def test_captions_arrive_once_and_whole_through_repeats_and_losses() -> None:
    made = Made(options=X264)
    text = [b"\xfc" + bytes((0xC1 + n % 26, 0x80 | n)) for n in range(70)]
    source = with_captions(stream_of(made, 80), text)
    wanted = captions_of(source)
    assert len(wanted) == 2 * len(text)
    run = Simulated(delay="120ms")
    run.feed(source)
    run.idle(1.5)  # repeats, then black
    arrived = captions_of(run.data)
    assert len(arrived) > 80
    assert arrived in wanted  # what came before the clock was locked is no loss on air
    assert run.channel.meters.frames["repeat"] > 5
