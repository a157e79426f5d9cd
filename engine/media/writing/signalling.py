"""What the source says of its picture, carried into the encoder or named as lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import av

from keeprt.engine.media.containers import Container
from keeprt.engine.media.info import (
    FULL_RANGE,
    MATRIX_RGB,
    STEREO,
    ColourTags,
    LightLevel,
    Mastering,
    VideoInfo,
    has_alpha,
)
from keeprt.engine.media.writing.encoders import Encoder, encoder_of

# SMPTE ST 2086 as HEVC's SEI counts: 0.00002 for chromaticity, 0.0001 cd/m2.
_CHROMATICITY, _LUMINANCE = Fraction(1, 50000), Fraction(1, 10000)
_SUBSAMPLED = ("yuv420", "yuvj420", "yuva420", "nv12", "nv21", "p010")
#: AVFieldOrder
FIELD_ORDERS = {"progressive": 1, "tt": 2, "bb": 3}
# Containers whose own header tells of fields, whatever the codec says.
_TELLS_FIELDS = ("mov", "matroska", "mxf")
_MPEG2_SHAPES = (Fraction(4, 3), Fraction(16, 9), Fraction(221, 100))
_EQUAL = Fraction(1, 100)


@dataclass
class Signalling:
    """Options for the encoder, whether it codes fields, and one line for each thing lost."""

    options: dict[str, str] = field(default_factory=dict)
    interlaced: bool = False
    losses: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Written:
    """What is written and how; `turned`: stored upright."""

    codec: str
    pixel_format: str
    colour: ColourTags
    container: Container
    turned: bool
    size: tuple[int, int]
    bitrate: int | None

    @property
    def encoder(self) -> Encoder:
        """What the encoder can say."""
        return encoder_of(self.codec)


def signalling(like: VideoInfo, out: Written) -> Signalling:
    """How a video like `like` is written so."""
    signals, params = Signalling(), dict[str, str]()
    _fields(signals, params, like, out)
    _hdr(signals, params, like, out.codec)
    _chroma(signals, like, out)
    if like.has_captions:
        if out.codec == "libx265":
            signals.options["a53cc"] = "1"
        if not out.encoder.captions:
            signals.losses.append(f"closed captions: {out.codec} does not write them")
    for extra in like.extras:
        if extra != STEREO or not out.encoder.stereo:
            signals.losses.append(f"{extra}: {out.codec} does not write it")
    if like.timecode and not out.container.timecode:
        signals.losses.append(f"the timecode {like.timecode}: {out.container.suffix} has no place")
    signals.losses += [loss for loss in (*_samples(like, out), _aspect(like, out)) if loss]
    if params:
        text = ":".join(f"{k}={v}" for k, v in params.items())
        signals.options[f"{out.codec[3:]}-params"] = text
    return signals


def _chroma(signals: Signalling, like: VideoInfo, out: Written) -> None:
    if not like.chroma_location or not out.pixel_format.startswith(_SUBSAMPLED):
        return
    signals.options["chroma_sample_location"] = like.chroma_location
    if out.encoder.chroma not in (None, like.chroma_location):
        signals.losses.append(
            f"chroma lies {like.chroma_location}: {out.codec} says {out.encoder.chroma}"
        )


def _samples(like: VideoInfo, out: Written) -> Iterator[str]:
    codec, name = out.codec, out.pixel_format
    samples = av.VideoFormat(name)
    bits = max(component.bits for component in samples.components)
    if like.has_alpha and not has_alpha(samples):
        yield f"the alpha channel: {name} has none"
    if like.is_rgb and not like.is_folder and name.startswith("yuv"):
        yield f"RGB samples: {codec} codes them as {name}"
    if bits < like.bit_depth:
        yield f"{like.bit_depth} bits a sample: {codec} codes {name}"
    if like.is_rgb or like.is_folder:
        return
    before, after = like.colour.meaning(like.height), out.colour.meaning(like.height)
    if before[1] != after[1] and after[1] != FULL_RANGE:
        yield f"full range: {codec} means studio range; samples are converted"
    if before[0] != after[0] and after[0] != MATRIX_RGB:
        yield f"colour matrix {before[0]}: {codec} means {after[0]}; samples are converted"


def _aspect(like: VideoInfo, out: Written) -> str | None:
    aspect = like.sample_aspect_ratio
    if not aspect or aspect == 1:
        return None
    if not out.encoder.aspect and not out.container.is_mov:
        return f"the aspect {aspect} of a pixel: {out.codec} in {out.container.suffix} says none"
    shape = aspect * Fraction(*out.size)
    if out.codec == "mpeg2video" and all(abs(shape / one - 1) > _EQUAL for one in _MPEG2_SHAPES):
        return f"the aspect {aspect} of a pixel: mpeg2video knows pictures of 4:3, 16:9, 2.21:1"
    return None


def _fields(signals: Signalling, params: dict[str, str], like: VideoInfo, out: Written) -> None:
    if not like.is_interlaced:
        return
    codec, container = out.codec, out.container
    # Without a bit rate dnxhd is DNxHR, which has no fields.
    codes = out.encoder.fields and (codec != "dnxhd" or out.bitrate is not None)
    if out.turned or not codes:
        why = "turned pictures have no fields" if out.turned else f"{codec} codes whole frames"
        signals.losses.append(f"interlace ({like.field_order}): {why}; --codec libx264 keeps it")
        return
    if codec == "v210" and container.muxer not in _TELLS_FIELDS:
        signals.losses.append(f"interlace ({like.field_order}): {container.suffix} does not say so")
    signals.interlaced = True
    if codec == "libx264":
        params["tff" if like.field_order == "tt" else "bff"] = "1"


def _hdr(signals: Signalling, params: dict[str, str], like: VideoInfo, codec: str) -> None:
    if like.mastering is None and like.light_level is None:
        return
    if not encoder_of(codec).hdr:
        signals.losses.append(f"HDR10 mastering and light level: {codec} does not write them")
        return
    x265 = codec == "libx265"
    if like.mastering is not None:
        params["master-display" if x265 else "mastering-display"] = mastering_text(like.mastering)
    if like.light_level is not None:
        params["max-cll" if x265 else "cll"] = light_level_text(like.light_level)


def mastering_text(mastering: Mastering) -> str:
    """As x264 and x265 take it: G(x,y)B(x,y)R(x,y)WP(x,y)L(most,least)."""
    points = (
        ("G", mastering.green),
        ("B", mastering.blue),
        ("R", mastering.red),
        ("WP", mastering.white),
    )
    text = "".join(
        f"{k}({round(x / _CHROMATICITY)},{round(y / _CHROMATICITY)})" for k, (x, y) in points
    )
    most = round(mastering.most_luminance / _LUMINANCE)
    return f"{text}L({most},{round(mastering.least_luminance / _LUMINANCE)})"


def light_level_text(level: LightLevel) -> str:
    """As x264 and x265 take it."""
    return f"{level.content},{level.frame_average}"
