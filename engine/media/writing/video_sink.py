"""Encoding a video file, with the source's times, colour, orientation and other streams."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream

from keeprt.engine.errors import MediaError, UsageError
from keeprt.engine.media.colour import Converter, tags_of
from keeprt.engine.media.containers import Container
from keeprt.engine.media.errors import PathLike, display_name, last_ffmpeg_line, reason
from keeprt.engine.media.info import Orientation, RgbImage, VideoInfo
from keeprt.engine.media.places import is_standard, is_stream
from keeprt.engine.media.pyav import open_output
from keeprt.engine.media.source import Others, SourceFrame
from keeprt.engine.media.streams.copier import Span, StreamCopier
from keeprt.engine.media.streams.plan import Wishes, plan_streams
from keeprt.engine.media.streams.tags import kept_metadata, lost_text
from keeprt.engine.media.writing.encoding import muxer_options
from keeprt.engine.media.writing.partial import DirectOutput, PartialOutput
from keeprt.engine.media.writing.picture import Encoding, add_picture, plan_picture
from keeprt.engine.media.writing.sink import Sink, check_picture, native_of, nothing_written

log = logging.getLogger(__name__)
_X265_DELAY = 2


@dataclass(frozen=True)
class Trim:
    """The part of the source that is written, in seconds after its first frame."""

    start_s: float = 0.0
    end_s: float | None = None


@dataclass(frozen=True)
class Beside:
    """What goes beside the picture. shared: the packets come from the picture's own reader."""

    others: Others
    wishes: Wishes
    shared: bool


class VideoSink(Sink):
    """A video file that is being encoded; see `open_sink`. `losses` names what it cannot keep."""

    def __init__(
        self,
        path: PathLike,
        container: Container,
        like: VideoInfo,
        encoding: Encoding,
        inputs: list[PathLike],
        beside: Beside | None,
        trim: Trim,
        overwrite: bool,
    ) -> None:
        self.path = Path(path)
        self._name = display_name(path)
        self._kind, self._like, self._trim = container, like, trim
        # Where the container has no display matrix, pictures are turned before they are encoded.
        turned = not container.rotation and like.orientation != Orientation()
        self._picture = plan_picture(like, container, encoding, turned)
        self._stored_as = Orientation() if turned else like.orientation
        # No container but MPEG-TS knows times below 0.
        self._shift_s = trim.start_s + min(0.0, like.start_s)
        self._shift = round(self._shift_s / like.time_base)
        self._converter = Converter(encoding.threads)
        self._written = 0
        self._closed = False
        self._opened = contextlib.ExitStack()
        self._losses = list(self._picture.signals.losses)
        self._copier: StreamCopier | None = None
        self._container: OutputContainer | None = None
        if beside is not None:
            self._copier = self._plan(beside)
        for loss in self._losses:
            log.warning("%s does not keep %s", self._name, loss)
        self._partial = self._target(path, inputs, overwrite)
        try:
            with self._media_errors():
                self._container = self._open_container(str(self._partial.temporary))
                self._stream = self._add_video(self._container)
                if self._copier is not None:
                    self._copier.connect(
                        self._container, container, isinstance(self._partial, DirectOutput)
                    )
                self._container.start_encoding()
        except BaseException:
            self.abort()
            raise

    @property
    def losses(self) -> list[str]:
        return self._losses

    def write(self, frame: SourceFrame | av.VideoFrame) -> None:
        native, picture = native_of(frame), self._picture
        stored = (native.width, native.height)
        expected = picture.size[::-1] if picture.transposed else picture.size
        if stored != expected:
            raise UsageError(f"expected a frame of {expected}, got {stored}")
        if picture.turned or self._recoloured(native):
            rgb = self._converter.to_rgb(native, tags_of(native), 16)
            if picture.turned:
                rgb = self._like.orientation.upright(rgb)
            self._encode_rgb(rgb, native)
        else:
            ready = self._converter.to_format(native, picture.pixel_format, picture.colour)
            self._encode(ready, native)

    def write_rgb(self, rgb: RgbImage, like: SourceFrame) -> None:
        transposed = self._stored_as.transpose
        size = self._picture.size
        check_picture(rgb, size[::-1] if transposed else size)
        self._encode_rgb(self._stored_as.stored(rgb), like.native)

    def close(self) -> None:
        if self._closed:
            return
        try:
            if not self._written:
                raise nothing_written(self.path)
            assert self._container is not None
            with self._media_errors():
                self._mux(self._last_packets())
                if self._copier is not None:
                    self._copier.pump(self._container, None)
                self._container.close()
        except BaseException:
            self.abort()
            raise
        self._closed = True
        self._opened.close()
        pacer = self._picture.pacer
        if pacer is not None and pacer.moved:
            self._losses.append(
                f"the times of {pacer.moved} frames: {self._picture.codec} counts frames"
            )
        if pacer is not None and pacer.filled:
            self._losses.append(
                f"gaps between the times: {pacer.filled} frames are repeated, for a "
                f"{self._kind.suffix} counts frames"
            )
        self._partial.commit()

    def _last_packets(self) -> list[Packet[VideoStream]]:
        packets = self._stream.encode(None)
        if self._written <= _X265_DELAY and self._picture.codec == "libx265":
            # x265 takes the decoding times of its first pictures from later ones, which never came.
            for packet in packets:
                packet.dts = packet.pts
        return packets

    def abort(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._opened.close()
        if self._container is not None:
            # Closing writes the trailer of a file that is thrown away: its errors mean nothing.
            with contextlib.suppress(av.error.FFmpegError, ValueError, OSError):
                self._container.close()
        self._partial.discard()

    def also_close(self, opened: contextlib.ExitStack) -> None:
        """What is to be closed with this sink."""
        self._opened = opened

    def _plan(self, beside: Beside) -> StreamCopier:
        decisions = plan_streams(
            beside.others, self._kind, beside.wishes, f"a {self._kind.suffix} file"
        )
        self._losses += [decision.loss for decision in decisions if decision.loss is not None]
        self._losses += lost_text(beside.others.opened.container, self._kind)
        begin_s = self._like.start_s + self._trim.start_s
        end_s = None if self._trim.end_s is None else self._like.start_s + self._trim.end_s
        part = bool(self._trim.start_s)
        span = Span(begin_s, end_s, self._shift_s, part)
        return StreamCopier(beside.others, decisions, span, beside.shared)

    def _target(
        self, path: PathLike, inputs: list[PathLike], overwrite: bool
    ) -> PartialOutput | DirectOutput:
        if is_standard(path) or is_stream(path):
            if not self._kind.streams:
                raise UsageError(
                    f"a pipe cannot hold {self._kind.muxer}; give --format matroska or mpegts"
                )
            return DirectOutput(path)
        return PartialOutput(path, inputs, overwrite, is_folder=False)

    def _open_container(self, file: str | io.BytesIO) -> OutputContainer:
        others = self._copier.time_bases() if self._copier is not None else []
        options = muxer_options(self._kind, self._picture.time_base, others)
        if isinstance(file, str) and not file.startswith(("pipe:", "file:")):
            file = f"file:{file}"
        return open_output(file, format=self._kind.muxer, container_options=options)

    def _add_video(self, container: OutputContainer) -> VideoStream:
        source = None if self._copier is None else self._copier.picture
        metadata = {} if source is None else kept_metadata(source.metadata)
        return add_picture(container, self._picture, metadata, self._trim.start_s)

    def _recoloured(self, native: av.VideoFrame) -> bool:
        """Whether this frame's colours are coded in another way than the output's."""
        tags, first, height = tags_of(native), self._like.colour, self._like.height
        same = (tags.matrix, tags.range) == (first.matrix, first.range)
        means = self._picture.colour.meaning(height)
        return not self._like.is_rgb and not (same and means == first.meaning(height))

    def _encode_rgb(self, stored: RgbImage, timed: av.VideoFrame) -> None:
        frame = self._converter.from_rgb(
            stored, self._picture.pixel_format, self._picture.colour, timed
        )
        self._encode(frame, timed)

    def _encode(self, frame: av.VideoFrame, timed: av.VideoFrame) -> None:
        """Encode `frame` at the time of `timed`; a caller's frame is as before afterwards."""
        if timed.pts is None or not timed.time_base:
            raise UsageError("a frame needs a pts and a time base")
        before = (timed.pts, timed.time_base, timed.duration, timed.pict_type)
        ticks = round(timed.pts * timed.time_base / self._like.time_base) - self._shift
        frame.duration = timed.duration if self._picture.pacer is None else 1
        frame.time_base = self._picture.time_base
        # The source's I, P and B would be forced upon the encoder.
        frame.pict_type = PictureType.NONE
        try:
            with self._media_errors():
                for number in self._numbers(ticks):
                    frame.pts = number
                    self._mux(self._stream.encode(frame))
        finally:
            timed.pts, timed.time_base, timed.duration, timed.pict_type = before
        self._written += 1

    def _numbers(self, ticks: int) -> range:
        """The encoder's times of a frame: its own, but where frames are counted."""
        pacer = self._picture.pacer
        if pacer is None:
            return range(ticks, ticks + 1)
        return pacer.numbers(ticks * self._like.time_base)

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
            said = None if self._written else self._said_when_opening()
            detail = reason(error) + (f" ({said})" if said else "")
            raise MediaError(f"cannot write {self._name}: {detail}") from error

    def _said_when_opening(self) -> str | None:
        """FFmpeg's reason for refusing this encoder or muxer, from a second try into memory."""

        def again() -> None:
            with self._open_container(io.BytesIO()) as container:
                self._add_video(container)
                container.start_encoding()

        return last_ffmpeg_line(again)
