"""Decoding a video file, and noticing when it is damaged or ends early."""

from __future__ import annotations

import itertools
import logging
import os
import struct
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.error
from av.codec.context import ThreadType
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideData
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from keeprt.engine.errors import MediaError
from keeprt.engine.media.colour import Converter, tags_of
from keeprt.engine.media.errors import (
    PathLike,
    TruncatedMediaError,
    display_name,
    last_ffmpeg_line,
    reason,
)
from keeprt.engine.media.info import VideoInfo, rotation_matrix
from keeprt.engine.media.source import SourceFrame, VideoSource

log = logging.getLogger(__name__)

# Containers whose header states the length; elsewhere FFmpeg guesses it from what is there.
_STATES_LENGTH = ("mov", "matroska", "avi", "flv", "asf")
_LENGTH_TOLERANCE_S = 0.5


def open_video_file(
    path: PathLike,
    start_s: float,
    duration_s: float | None,
    strict: bool,
    hwaccel: HWAccel | None = None,
) -> VideoSource:
    """See `open_source`. Decodes the first frame: only it tells colour and rotation for certain."""
    container = open_container(path, hwaccel)
    try:
        decoder = _Decoder(container, display_name(path), strict)
        frames = decoder.frames()
        first = next(frames, None)
        if first is None:
            raise MediaError(f"{decoder.name} holds no frames")
        info = _describe(path, decoder.stream, first)
        if start_s:
            frames = decoder.frames_from(info.start_s + start_s)
        else:
            frames = itertools.chain([first], frames)
        timed = _timed(frames, info, decoder.name, start_s, duration_s)
        return VideoSource(info, timed, container.close)
    except BaseException:
        container.close()
        raise


def open_container(path: PathLike, hwaccel: HWAccel | None = None) -> InputContainer:
    """PyAV's container for `path`; MediaError with FFmpeg's last words if it cannot be opened."""
    file = os.fspath(path)
    try:
        return av.open(file, "r", metadata_errors="replace", hwaccel=hwaccel)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        said = last_ffmpeg_line(lambda: av.open(file, "r", metadata_errors="replace").close())
        detail = reason(error) + (f" ({said})" if said else "")
        raise MediaError(f"cannot read {display_name(path)} as a video: {detail}") from None


def main_video_stream(container: InputContainer, name: str) -> VideoStream:
    """The first video stream that is not a cover picture."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise MediaError(f"{name} has no video stream")


class _Decoder:
    """Gives the frames of one stream and keeps count, so that an early end is noticed."""

    def __init__(self, container: InputContainer, name: str, strict: bool) -> None:
        self.container = container
        self.stream = main_video_stream(container, name)
        self.name = name
        self._strict = strict
        self._frames = 0
        self._packets = 0
        self._end_s = 0.0
        self._sought = False
        if self.stream.codec_context is None:
            raise MediaError(f"{name}: there is no decoder for its video codec")
        self.stream.thread_type = ThreadType.AUTO

    def frames_from(self, time_s: float) -> Iterator[av.VideoFrame]:
        """The frames from the last key frame before `time_s` on."""
        assert self.stream.time_base is not None
        self._sought, self._frames = True, 0
        self.container.seek(int(time_s / self.stream.time_base), stream=self.stream)
        return self.frames()

    def frames(self) -> Iterator[av.VideoFrame]:
        """The frames from where the container stands; ends with the check of the length."""
        size: tuple[int, int] | None = None
        for packet in self._demux():
            if packet.stream_index != self.stream.index:
                continue
            for frame in self._decode(packet):
                size = size or (frame.width, frame.height)
                if (frame.width, frame.height) != size:
                    raise MediaError(
                        f"{self.name}: frame {self._frames} is {frame.width}x{frame.height}, the "
                        f"frames before are {size[0]}x{size[1]}; split the video there"
                    )
                self._frames += 1
                yield frame
        self._check_length()

    def _demux(self) -> Iterator[Packet[Stream]]:
        # Every stream is read, for the length: video may rightly end before the sound does.
        packets = self.container.demux()
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:
                self._damaged(reason(error), error)
                return
            if packet is None:
                return
            self._packets += packet.stream_index == self.stream.index and packet.size > 0
            if packet.pts is not None and packet.time_base:
                end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                self._end_s = max(self._end_s, end_s)
            yield packet

    def _decode(self, packet: Packet[Stream]) -> list[av.VideoFrame]:
        if packet.is_corrupt:
            self._damaged("a packet is incomplete")
        try:
            frames: list[av.VideoFrame] = packet.decode()  # type: ignore[assignment]
        except av.error.FFmpegError as error:
            self._damaged(reason(error), error)
            return []
        if any(frame.is_corrupt for frame in frames):
            self._damaged("a frame is corrupt")
        return frames

    def _check_length(self) -> None:
        if not self.container.format.name.startswith(_STATES_LENGTH):
            return
        expected = len(self.stream.index_entries)
        is_mov = self.container.format.name.startswith("mov")
        if is_mov and not self._sought and self._packets < expected:
            self._damaged(f"{self._packets} of {expected} packets are there")
        if self.container.duration is None:
            return
        start_s = (self.container.start_time or 0) / av.time_base
        declared_s = start_s + self.container.duration / av.time_base
        if declared_s - self._end_s > _LENGTH_TOLERANCE_S:
            self._damaged(f"it ends at {self._end_s:.2f} s of {declared_s:.2f} s")

    def _damaged(self, what: str, cause: BaseException | None = None) -> None:
        message = (
            f"{self.name} is damaged or cut short: {what}; "
            f"{self._frames} frames were decoded before"
        )
        if self._strict:
            raise TruncatedMediaError(message, self._frames) from cause
        log.warning("%s", message)


def _describe(path: PathLike, stream: VideoStream, first: av.VideoFrame) -> VideoInfo:
    container = stream.container
    assert isinstance(container, InputContainer) and stream.time_base is not None
    rate = _plausible(stream.average_rate) or _plausible(stream.base_rate)
    if stream.duration is not None:
        duration_s: float | None = float(stream.duration * stream.time_base)
    else:
        duration_s = None if container.duration is None else container.duration / av.time_base
    estimate = round(duration_s * rate) if duration_s and rate else None
    name = os.fspath(path)
    aspect = stream.sample_aspect_ratio
    return VideoInfo(
        path=name if "://" in name else Path(name),
        width=first.width,
        height=first.height,
        pixel_format=first.format.name,
        bit_depth=max(component.bits for component in first.format.components),
        time_base=stream.time_base,
        average_rate=rate,
        frame_count=stream.frames or estimate,
        start_s=float((first.pts or 0) * stream.time_base),
        duration_s=duration_s,
        colour=tags_of(first),
        display_matrix=display_matrix(first),
        sample_aspect_ratio=aspect if aspect else None,
        codec=stream.codec_context.name,
        is_rgb=first.format.is_rgb,
        has_audio=bool(container.streams.audio),
        has_subtitles=bool(container.streams.subtitles),
    )


def display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    """The display matrix that a frame carries: 9 integers, None if it carries none."""
    try:
        # Asking for side data ties a frame into a reference cycle: let that be one of four pixels.
        small = frame.reformat(width=2, height=2, format="gray")
        # PyAV's stubs call this a dict of motion vectors.
        items = list(cast(Iterable[SideData], small.side_data))
    except ValueError:
        # Data of a kind that PyAV does not know yet (EXIF): the angle is all that can be had.
        return rotation_matrix(frame.rotation) if frame.rotation else None
    found = next((item for item in items if item.type is SideDataType.DISPLAYMATRIX), None)
    return None if found is None else struct.unpack("=9i", bytes(found))


def _timed(
    frames: Iterator[av.VideoFrame],
    info: VideoInfo,
    name: str,
    start_s: float,
    duration_s: float | None,
) -> Iterator[SourceFrame]:
    """Give every frame a pts that increases, and cut to the part that was asked for."""
    converter = Converter()
    step = max(1, round(1 / (info.average_rate * info.time_base))) if info.average_rate else 1
    first_s = info.start_s + start_s
    end_s = None if duration_s is None else first_s + duration_s
    half_tick_s = float(info.time_base) / 2
    last: int | None = None
    index = 0
    for native in frames:
        if native.pts is None:
            native.pts = 0 if last is None else last + step
        elif last is not None and native.pts <= last:
            log.warning("%s: the time of frame %d does not increase", name, index)
            native.pts = last + 1
        native.time_base = info.time_base
        last = native.pts
        time_s = float(native.pts * info.time_base)
        if end_s is not None and time_s >= end_s - half_tick_s:
            break
        if time_s >= first_s - half_tick_s:
            yield SourceFrame(native, index, time_s, info, converter)
            index += 1
    if index == 0:
        raise MediaError(f"{name} has no frames from {start_s:g} s on; it starts at 0 s")


def _plausible(rate: Fraction | None) -> Fraction | None:
    """A rate that a camera can have: files without one carry their tick rate in its place."""
    return rate if rate and rate <= 1000 else None
