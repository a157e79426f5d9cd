"""Clips for tests, made with PyAV: every odd thing that a real video may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags
from numpy.typing import NDArray

SAMPLE_RATE = 48000


@dataclass(frozen=True)
class Clip:
    """What `make_clip` writes; times are in ticks of `time_base`, colours FFmpeg's numbers."""

    pts: Sequence[int] = tuple(range(12))
    time_base: Fraction = Fraction(1, 25)
    width: int = 64
    height: int = 48
    pixel_format: str = "yuv420p"
    codec: str = "libx264"
    colour: tuple[int, int, int, int] = (2, 0, 2, 2)  # matrix, range, primaries, transfer
    aspect: Fraction | None = None
    key_frames_only: bool = False
    rotation_ccw: int = 0
    mirror: bool = False
    audio: bool = False
    subtitles: tuple[tuple[int, int, str], ...] = ()  # start ms, duration ms, text


def picture(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """Frame `index`: soft colour gradients that move, and a white corner at the top left."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 160 // width + 40, y * 160 // height + 40, (x + y + 6 * index) % 120 + 60]
    rgb = np.stack(planes, -1).astype(np.uint8)
    rgb[: height // 4, : width // 4] = 230
    return rgb


def make_clip(
    path: Path, clip: Clip = Clip(), frames: Sequence[av.VideoFrame] | None = None
) -> Path:
    """Write `clip` to `path`, of these frames instead of `picture`'s if given; return the path."""
    ticks = str(clip.time_base.denominator)
    options = {"video_track_timescale": ticks, "movie_timescale": ticks}
    mov = path.suffix in (".mp4", ".mov")
    with av.open(str(path), "w", container_options=options if mov else {}) as container:
        stream = _video_stream(container, clip)
        sound = container.add_stream("aac", rate=SAMPLE_RATE) if clip.audio else None
        texts = container.add_mux_stream("subrip") if clip.subtitles else None
        if texts is not None:
            texts.time_base = Fraction(1, 1000)
        for index, pts in enumerate(clip.pts):
            rgb = picture(index, clip.width, clip.height)
            frame = frames[index] if frames else to_frame(rgb, clip.pixel_format)
            frame.pts, frame.time_base = pts, clip.time_base
            container.mux(stream.encode(frame))
        for start, duration, text in clip.subtitles:
            assert texts is not None
            packet = av.Packet(text.encode())
            packet.pts = packet.dts = start
            packet.duration, packet.time_base = duration, Fraction(1, 1000)
            packet.stream = texts
            container.mux(packet)
        container.mux(stream.encode(None))
        if sound is not None:
            _write_sine(container, sound, float(clip.pts[-1] * clip.time_base) + 0.2)
    return path


def to_frame(rgb: NDArray[np.uint8], pixel_format: str) -> av.VideoFrame:
    """A frame of any pixel format; grey through its luma alone."""
    return av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=pixel_format)


def packets(path: Path, kind: str) -> list[tuple[Fraction, Fraction, bytes]]:
    """Time, duration and bytes of every packet of the first stream of this kind."""
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        return [
            (p.pts * p.time_base, (p.duration or 0) * p.time_base, bytes(p))
            for p in container.demux(stream)
            if p.pts is not None
        ]


def times(path: Path) -> list[Fraction]:
    """The exact presentation time of every frame, as FFmpeg decodes them."""
    with av.open(str(path)) as container:
        return [f.pts * f.time_base for f in container.decode(video=0)]


def psnr(a: NDArray[np.generic], b: NDArray[np.generic], peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB."""
    error = np.mean((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(peak**2 / error))


def _video_stream(container: av.container.OutputContainer, clip: Clip) -> av.VideoStream:
    stream = container.add_stream(
        clip.codec, rate=25, width=clip.width, height=clip.height, time_base=clip.time_base
    )
    context = stream.codec_context
    context.pix_fmt = clip.pixel_format
    context.colorspace, context.color_range = clip.colour[0], clip.colour[1]
    context.color_primaries, context.color_trc = clip.colour[2], clip.colour[3]
    context.flags |= Flags.frame_duration
    if clip.codec == "libx264":
        context.options = {"crf": "8", "bf": "3"} | ({"g": "1"} if clip.key_frames_only else {})
    if clip.aspect:
        context.sample_aspect_ratio = clip.aspect
    if clip.rotation_ccw or clip.mirror:
        stream.set_display_rotation(clip.rotation_ccw, hflip=clip.mirror)
    return stream


def _write_sine(
    container: av.container.OutputContainer, stream: av.AudioStream, seconds: float
) -> None:
    count = 1024
    for start in range(0, int(seconds * SAMPLE_RATE), count):
        wave = np.sin(2 * np.pi * 440 * np.arange(start, start + count) / SAMPLE_RATE)
        block = np.stack([wave, wave]).astype(np.float32) * 0.3
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = SAMPLE_RATE, start
        frame.time_base = Fraction(1, SAMPLE_RATE)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
