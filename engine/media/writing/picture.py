"""How the picture is encoded, decided before any work, and its stream in the output."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from av.codec.context import Flags, ThreadType
from av.container import OutputContainer
from av.video.stream import VideoStream

from keeprt.engine.errors import UsageError
from keeprt.engine.media.containers import Container
from keeprt.engine.media.hardware import require_encoder
from keeprt.engine.media.info import ColourTags, VideoInfo
from keeprt.engine.media.timecode import moved
from keeprt.engine.media.writing.encoders import encoder_of
from keeprt.engine.media.writing.encoding import (
    choose_codec,
    choose_pixel_format,
    encoder_formats,
    encoder_options,
    output_colour,
)
from keeprt.engine.media.writing.pacing import FramePacer, counted_rate
from keeprt.engine.media.writing.signalling import FIELD_ORDERS, Signalling, Written, signalling

_DEFAULT_RATE = Fraction(25)


@dataclass(frozen=True)
class Encoding:
    """What was asked of the encoder; the size is that of the stored picture."""

    size: tuple[int, int]
    codec: str
    crf: float | None
    bitrate: int | None
    preset: str
    pixel_format: str
    threads: int = 0


@dataclass(frozen=True)
class Picture:
    """What is encoded and how. turned: pictures are stored upright, for the container has no
    display matrix. pacer: None where the encoder keeps times. rate: frames a second."""

    like: VideoInfo
    container: Container
    encoding: Encoding
    turned: bool
    size: tuple[int, int]
    codec: str
    pixel_format: str
    colour: ColourTags
    signals: Signalling
    pacer: FramePacer | None
    time_base: Fraction
    rate: Fraction

    @property
    def transposed(self) -> bool:
        """Whether width and height are those of the source the other way round."""
        return self.turned and self.like.orientation.transpose


def plan_picture(
    like: VideoInfo, container: Container, encoding: Encoding, turned: bool
) -> Picture:
    """The encoder, pixel format and signals for a video like `like`.

    Raises UsageError for an encoder or format that is not there, BackendError where the encoder
    needs a card.
    """
    transposed = turned and like.orientation.transpose
    size = encoding.size[::-1] if transposed else encoding.size
    codec = choose_codec(encoding.codec, container.muxer, like.bit_depth)
    require_encoder(codec)
    pixel_format = _pixel_format(like, encoding.pixel_format, codec, size)
    encoder = encoder_of(codec)
    counts = encoder.fixed_rate or not container.times
    rate = like.average_rate or _DEFAULT_RATE
    if counts:
        standard_only = encoder.standard_rates or not container.times
        rate = counted_rate(rate, like.base_rate, standard_only)
    colour = output_colour(like, pixel_format, size[1], encoder)
    written = Written(codec, pixel_format, colour, container, turned, size, encoding.bitrate)
    return Picture(
        like=like,
        container=container,
        encoding=encoding,
        turned=turned,
        size=size,
        codec=codec,
        pixel_format=pixel_format,
        colour=colour,
        signals=signalling(like, written),
        pacer=FramePacer(rate, fills=not container.times) if counts else None,
        time_base=1 / rate if counts else like.time_base,
        rate=rate,
    )


def add_picture(
    output: OutputContainer, picture: Picture, metadata: dict[str, str], start_s: float
) -> VideoStream:
    """The stream of the picture in an output; its timecode is the source's, `start_s` later."""
    encoding = picture.encoding
    options = encoder_options(
        picture.codec, encoding.crf, encoding.bitrate, encoding.preset, picture.pixel_format
    )
    stream = output.add_stream(
        picture.codec,
        rate=picture.rate,
        options=_merged(options, picture.signals.options, picture.codec, encoding.threads),
        width=picture.size[0],
        height=picture.size[1],
        bit_rate=encoding.bitrate or 0,
        time_base=picture.time_base,
    )
    assert isinstance(stream, VideoStream)
    _set_up(stream, picture)
    stream.metadata.update(metadata)
    like = picture.like
    if like.timecode and picture.container.timecode:
        later = moved(like.timecode, start_s, like.average_rate)
        stream.metadata["timecode"] = later or like.timecode
    return stream


def _pixel_format(like: VideoInfo, asked: str, codec: str, size: tuple[int, int]) -> str:
    offered = encoder_formats(codec)
    if asked == "auto":
        return choose_pixel_format(like, offered, *size)
    if asked not in offered:
        raise UsageError(f"{codec} does not take {asked}, but {offered}")
    return asked


def _set_up(stream: VideoStream, picture: Picture) -> None:
    context, like, colour = stream.codec_context, picture.like, picture.colour
    context.pix_fmt = picture.pixel_format
    context.colorspace, context.color_range = colour.matrix, colour.range
    context.color_primaries, context.color_trc = colour.primaries, colour.transfer
    context.thread_type = ThreadType.AUTO
    context.thread_count = picture.encoding.threads
    context.flags |= Flags.frame_duration
    if picture.signals.interlaced:
        context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        context.field_order = FIELD_ORDERS[like.field_order]
    if context.name == "libx265" and picture.container.is_mov:
        context.codec_tag = "hvc1"
    aspect = like.sample_aspect_ratio
    if aspect:
        context.sample_aspect_ratio = 1 / aspect if picture.transposed else aspect
    if like.display_matrix is not None and not picture.turned:
        stream.set_display_matrix(like.display_matrix)


def _pools(threads: int) -> str:
    """x265's words for so many threads, "" for one per core."""
    if not threads:
        return ""
    return f"pools={'none' if threads == 1 else threads}"


def _merged(
    options: dict[str, str], signals: dict[str, str], codec: str, threads: int
) -> dict[str, str]:
    merged = options | signals
    if codec == "libx265":
        # x265 writes to stderr by itself, past FFmpeg's log.
        # It has a pool of its own too, which FFmpeg's thread_count does not bound.
        params = ["log-level=none", signals.get("x265-params"), _pools(threads)]
        merged["x265-params"] = ":".join(str(param) for param in params if param)
    return merged
