"""Choosing the encoder, its pixel format and its options, and the muxer's: pure functions."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection
from fractions import Fraction

import av
import av.codec

from keeprt.engine.errors import UsageError
from keeprt.engine.media.info import (
    FULL_RANGE,
    HD_HEIGHT,
    LIMITED_RANGE,
    MATRIX_BT709,
    MATRIX_RGB,
    MATRIX_UNSPECIFIED,
    ColourTags,
    VideoInfo,
)

# Containers that keep presentation times. AVI keeps none, so it cannot be written.
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".ts")
KEEPS_ROTATION = (".mp4", ".m4v", ".mov", ".mkv")
_MOV_SUFFIXES = (".mp4", ".m4v", ".mov")
_ALIASES = {"h264": "libx264", "hevc": "libx265", "h265": "libx265", "vp9": "libvpx-vp9"}
_DEFAULT_CRF = {"libx264": 18.0, "libx265": 20.0, "libvpx-vp9": 24.0}
_X264_MAX_BITS = 10
_CHROMA_UP = {"420": ("420", "422", "444"), "422": ("422", "444"), "444": ("444",)}
_ROUND_CHROMA = {"410": "420", "411": "422", "440": "444"}
_LEAST_TIMESCALE, _GREATEST_TIMESCALE = 600, 2**31 - 1


def choose_codec(asked: str, suffix: str, bit_depth: int) -> str:
    """FFmpeg's encoder name: by the container and depth for "auto", else what was asked for."""
    if asked != "auto":
        return _ALIASES.get(asked, asked)
    if suffix == ".webm":
        return "libvpx-vp9"
    return "libx264" if bit_depth <= _X264_MAX_BITS else "libx265"


def encoder_formats(codec: str) -> list[str]:
    """The pixel formats that an encoder takes; UsageError if there is no such video encoder."""
    try:
        found = av.codec.Codec(codec, "w")
    except (av.error.FFmpegError, ValueError) as error:
        raise UsageError(f"there is no video encoder {codec!r} here; try libx264") from error
    if found.type != "video":
        raise UsageError(f"{codec!r} is no video encoder; try libx264")
    return [video_format.name for video_format in found.video_formats or []]


def choose_pixel_format(like: VideoInfo, offered: Collection[str], width: int, height: int) -> str:
    """The offered format nearest to the source's: depth first, then chroma, never less chroma.

    4:2:0 needs an even width and height, 4:2:2 an even width; odd sizes are kept by the next richer
    chroma, up to 4:4:4 (not every hardware player shows it). Grey becomes 4:2:0, since
    restored faces may be coloured and few players know grey. RGB video becomes 4:4:4, a folder of
    images 4:2:0. Alpha is dropped.
    Raises UsageError if nothing fits.
    """
    if like.pixel_format in offered and _fits(like.pixel_format, width, height):
        return like.pixel_format
    depths = sorted(
        range(8, 17), key=lambda bits: (bits < like.bit_depth, abs(bits - like.bit_depth))
    )
    for bits in depths:
        for chroma in _CHROMA_UP[_chroma(like)]:
            name = f"yuv{chroma}p" + ("" if bits == 8 else f"{bits}le")
            if name in offered and _fits(name, width, height):
                return name
    raise UsageError(
        f"the encoder takes none of the formats near {like.pixel_format} at {width}x{height}; "
        "name one with the pixel format option"
    )


def _chroma(like: VideoInfo) -> str:
    found = re.match(r"yuv[aj]?(4\d\d)", like.pixel_format)
    if found:
        return _ROUND_CHROMA.get(found[1], found[1])
    if like.pixel_format.startswith(("nv16", "nv20", "p21", "y21", "yuyv", "uyvy", "yvyu")):
        return "422"
    if like.pixel_format.startswith(("nv24", "nv42", "p41", "vuy", "xv3", "ayuv")):
        return "444"
    return "444" if like.is_rgb and not like.is_folder else "420"


def _fits(name: str, width: int, height: int) -> bool:
    if name.startswith("gray"):
        return False
    if name.startswith(("yuv422", "yuvj422", "nv16", "nv20")):
        return width % 2 == 0
    if name.startswith(("yuv420", "yuvj420", "nv12", "nv21")):
        return width % 2 == 0 and height % 2 == 0
    return name.startswith(("yuv", "gbrp", "rgb"))


def output_colour(like: VideoInfo, pixel_format: str, height: int) -> ColourTags:
    """The tags to write: the source's; BT.709 limited when RGB becomes YCbCr.

    An unspecified matrix is written out when the new height would make players guess another.
    """
    colour = like.colour
    if pixel_format.startswith(("gbr", "rgb")):
        return dataclasses.replace(colour, matrix=MATRIX_RGB, range=FULL_RANGE)
    if like.is_rgb or (like.pixel_format.startswith(("gray", "ya", "mono")) and like.is_folder):
        specified = colour.primaries != MATRIX_UNSPECIFIED
        return ColourTags(
            MATRIX_BT709,
            LIMITED_RANGE,
            colour.primaries if specified else MATRIX_BT709,
            colour.transfer if specified else MATRIX_BT709,
        )
    if pixel_format.startswith("yuvj"):
        colour = dataclasses.replace(colour, range=FULL_RANGE)
    if (like.height >= HD_HEIGHT) != (height >= HD_HEIGHT):
        colour = dataclasses.replace(colour, matrix=colour.matrix_for(like.height))
    return colour


def encoder_options(
    codec: str, crf: float | None, bitrate: int | None, preset: str
) -> dict[str, str]:
    """The encoder's private options; UsageError for quality asked for in two ways or in vain."""
    if crf is not None and bitrate is not None:
        raise UsageError("give either a CRF or a bitrate, not both")
    if codec not in _DEFAULT_CRF:
        if crf is not None:
            raise UsageError(f"the encoder {codec} has no CRF; give a bitrate or another codec")
        return {}
    options: dict[str, str] = {}
    if bitrate is None:
        options["crf"] = f"{_DEFAULT_CRF[codec] if crf is None else crf:g}"
    if codec == "libvpx-vp9":
        return options | {"row-mt": "1"}
    options["preset"] = preset
    if codec == "libx265":
        # x265 writes to stderr by itself, past FFmpeg's log.
        options["x265-params"] = "log-level=none"
    return options


def muxer_options(suffix: str, time_base: Fraction, other_bases: list[Fraction]) -> dict[str, str]:
    """Muxer options under which every timestamp survives exactly.

    MP4 counts a track's ticks in its timescale, and the offset of a track's start in that of the
    whole movie (1/1000 s unless told): both must divide the source's ticks.
    """
    if suffix in (".mkv", ".webm"):
        return {"avoid_negative_ts": "disabled"}
    if suffix not in _MOV_SUFFIXES:
        return {}
    options: dict[str, str] = {}
    ticks = time_base.denominator
    if ticks >= _LEAST_TIMESCALE:
        options["video_track_timescale"] = str(ticks)
    movie = math.lcm(ticks, *(base.denominator for base in other_bases))
    while movie < _LEAST_TIMESCALE:
        movie *= 2
    options["movie_timescale"] = str(movie if movie <= _GREATEST_TIMESCALE else ticks)
    return options
