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
from keeprt.engine.media.containers import Container
from keeprt.engine.media.info import (
    FULL_RANGE,
    HD_HEIGHT,
    LIMITED_RANGE,
    MATRIX_BT709,
    MATRIX_RGB,
    MATRIX_UNSPECIFIED,
    ColourTags,
    VideoInfo,
    has_alpha,
)
from keeprt.engine.media.writing.encoders import ALIASES, Encoder, encoder_of

_X264_MAX_BITS = 10
_CHROMA_UP = {"420": ("420", "422", "444"), "422": ("422", "444"), "444": ("444",)}
_ROUND_CHROMA = {"410": "420", "411": "422", "440": "444"}
_LEAST_TIMESCALE, _GREATEST_TIMESCALE = 600, 2**31 - 1
# FFmpeg's unit of a quantiser scale.
_LAMBDA = 118
_RGB = ("gbr", "rgb", "bgr")
_DNXHR = {"yuv422p": "dnxhr_hq", "yuv422p10le": "dnxhr_hqx"}


def choose_codec(asked: str, muxer: str, bit_depth: int) -> str:
    """FFmpeg's encoder name: by the container and depth for "auto", else what was asked for."""
    if asked != "auto":
        return ALIASES.get(asked, asked)
    if muxer == "webm":
        return "libvpx-vp9"
    if muxer == "mxf":
        return "mpeg2video" if bit_depth == 8 else "prores_ks"
    return "libx264" if bit_depth <= _X264_MAX_BITS else "libx265"


def encoder_formats(codec: str) -> list[str]:
    """The pixel formats that an encoder takes; UsageError if there is no such video encoder."""
    try:
        found = av.codec.Codec(codec, "w")
    except (av.error.FFmpegError, ValueError) as error:
        raise UsageError(f"there is no video encoder {codec!r} here; try libx264") from error
    if found.type != "video":
        raise UsageError(f"{codec!r} is no video encoder; try libx264")
    formats = found.video_formats or []
    without = encoder_of(codec).no_alpha
    return [samples.name for samples in formats if not (without and has_alpha(samples))]


def choose_pixel_format(like: VideoInfo, offered: Collection[str], width: int, height: int) -> str:
    """The offered format nearest to the source's: depth first, then chroma, never less chroma.

    4:2:0 needs an even width and height, 4:2:2 an even width; odd sizes are kept by the next richer
    chroma, up to 4:4:4 (not every hardware player shows it). Grey becomes 4:2:0, since
    restored faces may be coloured and few players know grey. RGB video stays RGB where the encoder
    takes it, else it becomes 4:4:4; a folder of images becomes 4:2:0. Alpha is kept where the
    encoder has a format with it that loses nothing else, else dropped.
    Raises UsageError if nothing fits.
    """
    if like.pixel_format in offered and _fits(like.pixel_format, width, height):
        return like.pixel_format
    if like.is_rgb and not like.is_folder:
        near = next((name for name in _rgb_formats(like.bit_depth) if name in offered), None)
        if near is not None:
            return near
    depths = sorted(
        range(8, 17), key=lambda bits: (bits < like.bit_depth, abs(bits - like.bit_depth))
    )
    for kind in ("yuva", "yuv") if like.has_alpha else ("yuv",):
        for bits in depths:
            for chroma in _CHROMA_UP[_chroma(like)]:
                name = f"{kind}{chroma}p" + ("" if bits == 8 else f"{bits}le")
                if name in offered and _fits(name, width, height):
                    return name
    raise UsageError(
        f"the encoder takes none of the formats near {like.pixel_format} at {width}x{height}; "
        "choose another with --codec"
    )


def _rgb_formats(bits: int) -> list[str]:
    """RGB formats that hold so many bits, the nearest first."""
    names = ["gbrp", "bgr0", "rgb24", "bgr24"] if bits <= 8 else []
    depths = (depth for depth in (10, 12, 14, 16) if depth >= bits)
    return names + [f"gbrp{depth}le" for depth in depths]


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
    if name.startswith(("yuv422", "yuvj422", "yuva422", "nv16", "nv20")):
        return width % 2 == 0
    if name.startswith(("yuv420", "yuvj420", "yuva420", "nv12", "nv21")):
        return width % 2 == 0 and height % 2 == 0
    return name.startswith(("yuv", "gbrp", "rgb", "bgr"))


def output_colour(like: VideoInfo, pixel_format: str, height: int, encoder: Encoder) -> ColourTags:
    """The tags to write: the source's; BT.709 limited when RGB becomes YCbCr; the encoder's own
    matrix and studio range where it can mean no other.

    An unspecified matrix is written out when the new height would make players guess another.
    """
    colour = _source_colour(like, pixel_format, height)
    if pixel_format.startswith(_RGB):
        return colour
    if colour.range == FULL_RANGE and not encoder.full_range:
        colour = dataclasses.replace(colour, range=LIMITED_RANGE)
    if encoder.matrix not in (None, colour.meaning(like.height)[0]):
        colour = dataclasses.replace(colour, matrix=encoder.matrix or MATRIX_BT709)
    return colour


def _source_colour(like: VideoInfo, pixel_format: str, height: int) -> ColourTags:
    colour = like.colour
    if pixel_format.startswith(_RGB):
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
    codec: str, crf: float | None, bitrate: int | None, preset: str, pixel_format: str = ""
) -> dict[str, str]:
    """The encoder's options; UsageError for quality asked for in two ways or in vain."""
    if crf is not None and bitrate is not None:
        raise UsageError("give either a CRF or a bitrate, not both")
    encoder = encoder_of(codec)
    if crf is not None and encoder.quality == "own":
        raise UsageError(f"the encoder {codec} has no CRF; give a bitrate or another codec")
    options = dict(encoder.private)
    quality = encoder.default if crf is None else crf
    if bitrate is None and encoder.quality == "crf":
        options["crf"] = f"{quality:g}"
    elif bitrate is None and encoder.quality == "qscale":
        options |= {"flags": "+qscale", "global_quality": str(round(quality * _LAMBDA))}
    if codec == "dnxhd" and bitrate is None:
        options["profile"] = _DNXHR.get(pixel_format, "dnxhr_444")
    return options | ({"preset": preset} if encoder.preset else {})


def muxer_options(
    container: Container, time_base: Fraction, other_bases: list[Fraction]
) -> dict[str, str]:
    """Muxer options under which every timestamp survives exactly.

    MP4 counts a track's ticks in its timescale, and the offset of a track's start in that of the
    whole movie (1/1000 s unless told): both must divide the source's ticks.
    """
    if container.muxer in ("matroska", "webm"):
        return {"avoid_negative_ts": "disabled"}
    if not container.is_mov:
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
