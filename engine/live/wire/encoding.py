"""Frames to access units without delay, and signalled as the source was.

Interface: `encoder = Encoder(wanted)`; `encoder.encode(frame, pts)` gives the picture's bytes
(Annex B, with an access unit delimiter, headers at every key picture) and whether it is a key
picture. A frame may be given again and again; it is as it was afterwards.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple, cast

import av
import av.error
from av.codec.context import Flags, ThreadType
from av.video.frame import PictureType

from keeprt.engine.errors import MediaError
from keeprt.engine.live.nal import Codec
from keeprt.engine.live.wire.decoding import MOST_THREADS, TIME_BASE
from keeprt.engine.live.wire.pictures import Fields
from keeprt.engine.media.containers import CONTAINERS
from keeprt.engine.media.errors import reason
from keeprt.engine.media.info import VideoInfo
from keeprt.engine.media.writing.encoding import choose_pixel_format, encoder_formats
from keeprt.engine.media.writing.signalling import FIELD_ORDERS, Written, signalling

KEY_EVERY_S = 2
BITS_PER_PIXEL = 0.11
LEAST_BITRATE = 1_000_000
STREAM_TYPES: dict[Codec, int] = {"h264": 0x1B, "hevc": 0x24}
_NAMES = {"h264": "libx264", "hevc": "libx265"}


@dataclass(frozen=True)
class Wanted:
    """`like`: the source's picture. `codec`: an encoder's name, or "auto" for the source's."""

    like: VideoInfo
    rate: Fraction
    codec: str = "auto"
    bitrate: int | None = None
    preset: str = "superfast"

    @property
    def encoder(self) -> str:
        """FFmpeg's name."""
        if self.codec == "auto":
            return "libx265" if self.like.codec == "hevc" else "libx264"
        return _NAMES.get(self.codec, self.codec)

    @property
    def kind(self) -> Codec:
        """What the stream is then."""
        return "hevc" if self.encoder in ("libx265", "hevc_nvenc") else "h264"

    @property
    def bits_per_s(self) -> int:
        """What was asked for, or what the picture's size needs."""
        if self.bitrate is not None:
            return self.bitrate
        pixels = self.like.width * self.like.height * float(self.rate)
        return max(LEAST_BITRATE, round(pixels * BITS_PER_PIXEL))


class Encoded(NamedTuple):
    """One picture."""

    data: bytes
    key: bool


class Encoder:
    """Raises MediaError where the encoder cannot be opened."""

    def __init__(self, wanted: Wanted) -> None:
        like = wanted.like
        name = wanted.encoder
        self.wanted, self.kind = wanted, wanted.kind
        offered = encoder_formats(name)
        self.pixel_format = choose_pixel_format(like, offered, like.width, like.height)
        size = (like.width, like.height)
        written = Written(
            name, self.pixel_format, like.colour, CONTAINERS[".ts"], False, size, wanted.bits_per_s
        )
        signals = signalling(like, written)
        self.losses = signals.losses
        context: Any = av.CodecContext.create(name, "w")
        context.width, context.height, context.pix_fmt = like.width, like.height, self.pixel_format
        context.time_base, context.framerate = TIME_BASE, wanted.rate
        context.bit_rate = wanted.bits_per_s
        context.colorspace, context.color_range = like.colour.matrix, like.colour.range
        context.color_primaries, context.color_trc = like.colour.primaries, like.colour.transfer
        if like.sample_aspect_ratio:
            context.sample_aspect_ratio = like.sample_aspect_ratio
        if signals.interlaced:
            context.flags |= Flags.interlaced_dct | Flags.interlaced_me
            context.field_order = FIELD_ORDERS[like.field_order]
        context.thread_type = ThreadType.SLICE
        context.thread_count = min(MOST_THREADS, os.cpu_count() or 1)
        context.gop_size, context.max_b_frames = round(wanted.rate * KEY_EVERY_S), 0
        context.options = encoder_options(wanted, signals.options)
        self._context, self._fields = context, Fields(like) if signals.interlaced else None
        try:
            context.open()
        except (av.error.FFmpegError, ValueError, OSError) as error:
            raise MediaError(f"cannot encode with {name}: {reason(error)}") from error

    def encode(self, frame: av.VideoFrame, pts: int) -> Encoded | None:
        """`pts` in 90 kHz, growing. None where the encoder gave nothing, as none here should."""
        if self._fields is not None:
            frame = self._fields.mark(frame)
        before = (frame.pts, frame.pict_type)
        frame.pts, frame.time_base, frame.pict_type = pts, TIME_BASE, PictureType.NONE
        try:
            packets = cast("list[av.Packet[Any]]", self._context.encode(frame))
        finally:
            frame.pts, frame.pict_type = before
        if not packets:
            return None
        data = b"".join(bytes(packet) for packet in packets)
        return Encoded(data, any(packet.is_keyframe for packet in packets))

    def close(self) -> None:
        """What is in the encoder is of no use any more."""
        self._context.encode(None)


def encoder_options(wanted: Wanted, signals: dict[str, str]) -> dict[str, str]:
    """Of the encoder's own: no picture held, bursts bounded to half a second of the bit rate."""
    name, bits = wanted.encoder, wanted.bits_per_s
    options = {"maxrate": str(bits), "bufsize": str(bits // 2)}
    key = round(wanted.rate * KEY_EVERY_S)
    own = {k: v for k, v in signals.items() if not k.endswith("-params") and k != "a53cc"}
    params = next((v for k, v in signals.items() if k.endswith("-params")), "")
    if name == "libx264":
        ours = f"keyint={key}:repeat-headers=1:aud=1:scenecut=0"
        options |= {"preset": wanted.preset, "tune": "zerolatency", "a53cc": "0"}
        options["x264-params"] = f"{params}:{ours}" if params else ours
    elif name == "libx265":
        ours = f"log-level=none:keyint={key}:repeat-headers=1:aud=1:scenecut=0:bframes=0"
        options |= {"preset": wanted.preset, "tune": "zerolatency"}
        options["x265-params"] = f"{params}:{ours}" if params else ours
    else:  # NVENC: never run here
        options |= {"preset": "p1", "tune": "ull", "zerolatency": "1", "delay": "0", "aud": "1"}
    return options | own
