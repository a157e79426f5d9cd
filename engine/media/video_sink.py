"""Encoding a video file, with the source's times, colour, orientation and other streams."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.codec.context import Flags, ThreadType
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream

from keeprt.engine.errors import MediaError, UsageError
from keeprt.engine.media.colour import Converter, tags_of
from keeprt.engine.media.copy_streams import StreamCopier, kept_metadata
from keeprt.engine.media.encoding import (
    KEEPS_ROTATION,
    choose_codec,
    choose_pixel_format,
    encoder_formats,
    encoder_options,
    muxer_options,
    output_colour,
)
from keeprt.engine.media.errors import PathLike, display_name, reason
from keeprt.engine.media.hardware import require_encoder
from keeprt.engine.media.info import Orientation, RgbImage, VideoInfo
from keeprt.engine.media.partial import PartialOutput
from keeprt.engine.media.sink import Sink, check_picture, native_of, nothing_written
from keeprt.engine.media.source import SourceFrame

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


@dataclass(frozen=True)
class Trim:
    """The part of the source that is written, in seconds after its first frame."""

    start_s: float = 0.0
    end_s: float | None = None


class VideoSink(Sink):
    """A video file that is being encoded; see `open_sink`."""

    def __init__(
        self,
        path: Path,
        like: VideoInfo,
        encoding: Encoding,
        inputs: list[PathLike],
        sound_from: PathLike | None,
        trim: Trim,
        overwrite: bool,
    ) -> None:
        self.path = path
        self._suffix = path.suffix.lower()
        self._like = like
        # Where the container has no display matrix, pictures are turned before they are encoded.
        self._turned = self._suffix not in KEEPS_ROTATION and like.orientation != Orientation()
        self._stored_as = Orientation() if self._turned else like.orientation
        flip_size = self._turned and like.orientation.transpose
        self._size = encoding.size[::-1] if flip_size else encoding.size
        self._shift = round(trim.start_s / like.time_base)
        self._converter = Converter()
        self._written = 0
        self._closed = False
        self._copier: StreamCopier | None = None
        self._container: OutputContainer | None = None
        self._partial = PartialOutput(path, inputs, overwrite, is_folder=False)
        try:
            if sound_from is not None:
                self._copier = _open_copier(sound_from, like, trim)
            with self._media_errors():
                self._container = self._open_container()
                self._stream = self._add_video(self._container, encoding)
                if self._copier is not None:
                    self._copier.connect(self._container, path)
                self._container.start_encoding()
        except BaseException:
            self.abort()
            raise

    def write(self, frame: SourceFrame | av.VideoFrame) -> None:
        native = native_of(frame)
        stored = (native.width, native.height)
        expected = (
            self._size[::-1] if self._turned and self._like.orientation.transpose else self._size
        )
        if stored != expected:
            raise UsageError(f"expected a frame of {expected}, got {stored}")
        if self._turned:
            picture = self._converter.to_rgb(native, tags_of(native), 16)
            upright = self._like.orientation.upright(picture)
            self._encode_rgb(upright, native)
        else:
            ready = self._converter.to_format(native, self.pixel_format, self.colour)
            self._encode(ready, native)

    def write_rgb(self, rgb: RgbImage, like: SourceFrame) -> None:
        transposed = self._stored_as.transpose
        check_picture(rgb, self._size[::-1] if transposed else self._size)
        self._encode_rgb(self._stored_as.stored(rgb), like.native)

    def close(self) -> None:
        if self._closed:
            return
        try:
            if not self._written:
                raise nothing_written(self.path)
            assert self._container is not None
            with self._media_errors():
                self._mux(self._stream.encode(None))
                if self._copier is not None:
                    self._copier.pump(self._container, None)
                self._container.close()
        except BaseException:
            self.abort()
            raise
        self._closed = True
        if self._copier is not None:
            self._copier.close()
        self._partial.commit()

    def abort(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._copier is not None:
            self._copier.close()
        if self._container is not None:
            # Closing writes the trailer of a file that is thrown away: its errors mean nothing.
            with contextlib.suppress(av.error.FFmpegError, ValueError, OSError):
                self._container.close()
        self._partial.discard()

    @property
    def dropped(self) -> list[str]:
        """What of the source is not in the output: cover pictures, data streams."""
        return [] if self._copier is None else self._copier.dropped

    def _open_container(self) -> OutputContainer:
        others = self._copier.time_bases() if self._copier is not None else []
        options = muxer_options(self._suffix, self._like.time_base, others)
        return av.open(str(self._partial.temporary), "w", container_options=options)

    def _add_video(self, container: OutputContainer, encoding: Encoding) -> VideoStream:
        codec = choose_codec(encoding.codec, self._suffix, self._like.bit_depth)
        require_encoder(codec)
        offered = encoder_formats(codec)
        self.pixel_format = encoding.pixel_format
        if encoding.pixel_format == "auto":
            self.pixel_format = choose_pixel_format(self._like, offered, *self._size)
        elif encoding.pixel_format not in offered:
            raise UsageError(f"{codec} does not take {encoding.pixel_format}, but {offered}")
        self.colour = output_colour(self._like, self.pixel_format, self._size[1])
        options = encoder_options(codec, encoding.crf, encoding.bitrate, encoding.preset)
        stream = container.add_stream(
            codec,
            rate=self._like.average_rate or _DEFAULT_RATE,
            options=options,
            width=self._size[0],
            height=self._size[1],
            bit_rate=encoding.bitrate or 0,
            time_base=self._like.time_base,
        )
        assert isinstance(stream, VideoStream)
        self._set_up(stream)
        return stream

    def _set_up(self, stream: VideoStream) -> None:
        context = stream.codec_context
        context.pix_fmt = self.pixel_format
        context.colorspace, context.color_range = self.colour.matrix, self.colour.range
        context.color_primaries, context.color_trc = self.colour.primaries, self.colour.transfer
        context.thread_type = ThreadType.AUTO
        context.flags |= Flags.frame_duration
        if context.name == "libx265" and self._suffix in (".mp4", ".m4v", ".mov"):
            context.codec_tag = "hvc1"
        aspect = self._like.sample_aspect_ratio
        if aspect:
            flip = self._turned and self._like.orientation.transpose
            context.sample_aspect_ratio = 1 / aspect if flip else aspect
        if self._like.display_matrix is not None and not self._turned:
            stream.set_display_matrix(self._like.display_matrix)
        if self._copier is not None:
            source = next(iter(self._copier.container.streams.video), None)
            if source is not None:
                stream.metadata.update(kept_metadata(source.metadata))

    def _encode_rgb(self, stored: RgbImage, timed: av.VideoFrame) -> None:
        frame = self._converter.from_rgb(stored, self.pixel_format, self.colour, timed)
        self._encode(frame, timed)

    def _encode(self, frame: av.VideoFrame, timed: av.VideoFrame) -> None:
        """Encode `frame` at the time of `timed`; a caller's frame is as before afterwards."""
        if timed.pts is None or timed.time_base is None:
            raise UsageError("a frame needs a pts and a time base")
        before = (timed.pts, timed.time_base, timed.duration, timed.pict_type)
        ticks = timed.pts * timed.time_base / self._like.time_base
        frame.duration = timed.duration
        frame.pts = round(ticks) - self._shift
        frame.time_base = self._like.time_base
        # The source's I, P and B would be forced upon the encoder.
        frame.pict_type = PictureType.NONE
        try:
            with self._media_errors():
                self._mux(self._stream.encode(frame))
        finally:
            timed.pts, timed.time_base, timed.duration, timed.pict_type = before
        self._written += 1

    def _mux(self, packets: list[Packet[VideoStream]]) -> None:
        assert self._container is not None
        for packet in packets:
            if self._copier is not None and packet.dts is not None:
                self._copier.pump(self._container, float(packet.dts * packet.time_base))
            self._container.mux_one(packet)

    @contextlib.contextmanager
    def _media_errors(self) -> Iterator[None]:
        try:
            yield
        except (UsageError, MediaError):
            raise
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise MediaError(f"cannot write {display_name(self.path)}: {reason(error)}") from error


def _open_copier(source: PathLike, like: VideoInfo, trim: Trim) -> StreamCopier:
    end_s = None if trim.end_s is None else like.start_s + trim.end_s
    return StreamCopier(source, like.start_s + trim.start_s, trim.start_s, end_s)
