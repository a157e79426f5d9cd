"""Opening a video file: its first frame, what that tells, and the part that was asked for."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel
from av.stream import Discard

from keeprt.engine.errors import MediaError
from keeprt.engine.media.colour import Converter, tags_of
from keeprt.engine.media.errors import PathLike
from keeprt.engine.media.hardware import stored_format
from keeprt.engine.media.info import VideoInfo
from keeprt.engine.media.places import is_address, is_standard
from keeprt.engine.media.pyav import fraction
from keeprt.engine.media.reading.changes import Changes
from keeprt.engine.media.reading.container import (
    Opened,
    is_cover,
    main_video_stream,
    open_input,
    programme_of,
)
from keeprt.engine.media.reading.damage import Damage, OnDamage
from keeprt.engine.media.reading.decoder import Decoder, frame_rate
from keeprt.engine.media.reading.demux import Demuxer
from keeprt.engine.media.reading.seeking import frames_from
from keeprt.engine.media.reading.signals import signals_of
from keeprt.engine.media.source import Others, SourceFrame, VideoSource


@dataclass(frozen=True)
class Reading:
    """How a source is read; see `open_source`."""

    start_s: float = 0.0
    duration_s: float | None = None
    on_damage: OnDamage = "stop"
    programme: int | None = None
    format_name: str | None = None
    hwaccel: HWAccel | None = None
    threads: int = 0


def open_video_file(path: PathLike, reading: Reading) -> VideoSource:
    """See `open_source`. Decodes the first frame: only it tells colour and rotation for certain."""
    opened = open_input(path, reading.hwaccel, reading.format_name)
    try:
        programme = programme_of(opened, reading.programme)
        stream = main_video_stream(opened, programme)
        demuxer = Demuxer(opened, stream, Damage(opened.name, reading.on_damage))
        decoder = Decoder(demuxer, reading.threads)
        frames = decoder.frames()
        first = next(frames, None)
        if first is None:
            raise MediaError(f"{opened.name} holds no frames")
        info = _describe(path, decoder, opened, first)
        if reading.start_s:
            frames = frames_from(decoder, info.start_s + reading.start_s, frames, opened.once)
        else:
            frames = itertools.chain([first], frames)
        changes = Changes(info, stream.codec_context, first)
        timed = _part(frames, info, opened.name, reading, demuxer, changes)
        others = Others(opened, demuxer, programme)
        return VideoSource(info, timed, opened.close, demuxer.damage, others, changes)
    except BaseException:
        opened.close()
        raise


@contextmanager
def open_others(path: PathLike) -> Iterator[Others]:
    """What lies beside the picture of a file, read for its own sake, on the same map of times."""
    opened = open_input(path)
    try:
        programme = programme_of(opened, None)
        pictures = opened.container.streams.video
        stream = main_video_stream(opened, programme) if pictures else None
        demuxer = Demuxer(opened, stream, Damage(opened.name, "skip"))
        if stream is not None and not demuxer.free_clock:
            stream.discard = Discard.all
        yield Others(opened, demuxer, programme)
    finally:
        opened.close()


def _describe(path: PathLike, decoder: Decoder, opened: Opened, first: av.VideoFrame) -> VideoInfo:
    stream, container, stored = decoder.stream, opened.container, stored_format(first)
    time_base = decoder.time_base
    rate = frame_rate(stream)
    if stream.duration is not None:
        duration_s: float | None = float(stream.duration * time_base)
    else:
        duration_s = None if container.duration is None else container.duration / av.time_base
    estimate = round(duration_s * rate) if duration_s and rate else None
    name = os.fspath(path)
    aspect = fraction(stream.sample_aspect_ratio) or fraction(
        stream.codec_context.sample_aspect_ratio
    )
    return VideoInfo(
        path=name if is_address(name) or is_standard(name) else Path(name),
        width=first.width,
        height=first.height,
        pixel_format=stored.name,
        bit_depth=max(component.bits for component in stored.components),
        time_base=time_base,
        average_rate=rate,
        base_rate=fraction(stream.base_rate),
        frame_count=stream.frames or estimate,
        start_s=float((first.pts or 0) * time_base),
        duration_s=duration_s,
        colour=tags_of(first),
        sample_aspect_ratio=aspect,
        codec=stream.codec_context.name,
        is_rgb=stored.is_rgb,
        has_audio=bool(container.streams.audio),
        has_subtitles=bool(container.streams.subtitles),
        has_cover=any(is_cover(other) for other in container.streams.video),
        timecode=_timecode(stream.metadata) or _timecode(container.metadata),
        **signals_of(first),
    )


def _timecode(metadata: dict[str, str]) -> str | None:
    """Matroska spells its tags in capitals."""
    return next((value for key, value in metadata.items() if key.lower() == "timecode"), None)


def _part(
    frames: Iterator[av.VideoFrame],
    info: VideoInfo,
    name: str,
    reading: Reading,
    demuxer: Demuxer,
    changes: Changes,
) -> Iterator[SourceFrame]:
    """The frames of the part that was asked for."""
    converter = Converter(reading.threads)
    first_s = info.start_s + reading.start_s
    end_s = None if reading.duration_s is None else first_s + reading.duration_s
    half_tick_s = float(info.time_base) / 2
    index = 0
    demuxer.feed.nobody()
    for native in frames:
        assert native.pts is not None
        native.time_base = info.time_base
        time_s = float(native.pts * info.time_base)
        if end_s is not None and time_s >= end_s - half_tick_s:
            break
        if time_s >= first_s - half_tick_s:
            changes.look(native, index)
            yield SourceFrame(native, index, time_s, info, converter)
            index += 1
    if index == 0:
        raise MediaError(f"{name} has no frames from {reading.start_s:g} s on; it starts at 0 s")
