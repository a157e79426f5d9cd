"""What may be lost: a clip that has each property, and how it is read back from a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av

from keeprt.engine.media import VideoInfo, open_source
from keeprt.engine.media.reading.container import is_cover
from keeprt.engine.media.streams.holds import codec_of
from tests.fidelity import sources

_LAYERS = {"mp2": "MPEG sound", "mp3": "MPEG sound"}
Make = Callable[[Path], Path]
#: What a file says of one property; equal before and after where it is kept.
Fact = Callable[[Path], object]


@dataclass(frozen=True)
class Property:
    """One row. word: what a line that tells of this loss holds. may_become: whether another value
    without such a line is a conversion that the page may show, as subtitles in another container's
    own format, and no silent loss."""

    name: str
    make: Make
    fact: Fact
    word: str
    may_become: bool = False


def said(read: Callable[[VideoInfo], object]) -> Fact:
    """A fact of the picture's properties."""

    def fact(path: Path) -> object:
        with open_source(path) as video:
            return read(video.info)

    return fact


def codecs(kind: str) -> Fact:
    """The codecs of the streams of one kind, covers apart."""

    def fact(path: Path) -> object:
        with av.open(str(path)) as container:
            names = (codec_of(s) for s in container.streams if s.type == kind and not is_cover(s))
            # MP4 has one name for all layers of MPEG's sound.
            return tuple(_LAYERS.get(name, name) for name in names)

    return fact


def language(path: Path) -> object:
    """The language of the first sound."""
    with av.open(str(path)) as container:
        return next((s.metadata.get("language") for s in container.streams.audio), None)


def covers(path: Path) -> object:
    """How many cover pictures there are."""
    with av.open(str(path)) as container:
        return sum(is_cover(s) for s in container.streams.video)


def attachments(path: Path) -> object:
    """The names of attached files."""
    with av.open(str(path)) as container:
        return tuple(
            s.metadata.get("filename") for s in container.streams if s.type == "attachment"
        )


def chapters(path: Path) -> object:
    """Begin in milliseconds, and title."""
    with av.open(str(path)) as container:
        return tuple(
            (round(c["start"] * c["time_base"] * 1000), c["metadata"].get("title"))
            for c in container.chapters()
        )


def title(path: Path) -> object:
    """The title of the file."""
    with av.open(str(path)) as container:
        return container.metadata.get("title")


def times(path: Path) -> object:
    """Milliseconds from the first frame to each."""
    with av.open(str(path)) as container:
        shown = [float(f.pts * f.time_base) for f in container.decode(video=0) if f.pts is not None]
    return tuple(round((time - shown[0]) * 1000) for time in shown)


def chroma(info: VideoInfo) -> object:
    """How densely chroma is sampled."""
    found = re.match(r"yuv[aj]?(4\d\d)", info.pixel_format)
    return found[1] if found else info.pixel_format


def place(info: VideoInfo) -> object:
    """Where chroma of 4:2:0 lies."""
    return info.chroma_location if chroma(info) == "420" else f"{chroma(info)}: no matter"


def colours(info: VideoInfo) -> object:
    """Matrix, primaries and transfer, as FFmpeg numbers them."""
    return info.colour.meaning(info.height)[0], info.colour.primaries, info.colour.transfer


def bright_corner(path: Path) -> object:
    """Where the white corner of the picture is seen."""
    with open_source(path) as video:
        rgb = next(iter(video)).rgb()
    height, width = rgb.shape[0] // 5, rgb.shape[1] // 5
    corners = {
        f"{y} {x}": rgb[rows, columns].mean()
        for y, rows in (("top", slice(0, height)), ("bottom", slice(-height, None)))
        for x, columns in (("left", slice(0, width)), ("right", slice(-width, None)))
    }
    return max(corners, key=corners.__getitem__)


_SOUND = ("aac", "ac3", "eac3", "mp2", "libmp3lame", "libopus", "vorbis", "flac", "alac")
_MORE_SOUND = ("pcm_s16le", "pcm_s24le", "wmav2")
_TEXT = ("subrip", "ass", "webvtt", "mov_text", "dvb_subtitle", "dvb_teletext", "hdmv_pgs_subtitle")
_VFR = (0, 40, 80, 200, 240, 280, 320, 480, 520, 560, 600, 640)
_NTSC = tuple(range(0, 12012, 1001))
_BT601 = (6, 1, 5, 6)


def _clip(**how: object) -> Make:
    return partial(sources.of, **how)


def _samples(pixel_format: str) -> Make:
    return partial(sources.samples, pixel_format=pixel_format)


#: What lies beside the picture.
BESIDE = (
    *(
        Property(f"sound: {name}", partial(sources.sound, codec=name), codecs("audio"), "audio")
        for name in (*_SOUND, *_MORE_SOUND)
    ),
    Property("sound that never comes", sources.announced, codecs("audio"), "announced"),
    Property("language of the sound", partial(sources.sound, codec="mp2"), language, "language"),
    *(
        Property(
            f"subtitles: {name}",
            partial(sources.text, codec=name),
            codecs("subtitle"),
            "subtitle",
            may_become=True,
        )
        for name in _TEXT
    ),
    Property("cover picture", sources.attached, covers, "video stream"),
    Property("attached font", sources.attached, attachments, "attachment"),
    Property("chapters", sources.attached, chapters, "chapters"),
    Property("title", sources.attached, title, "tags"),
    Property("timecode", sources.timecode, said(lambda info: info.timecode), "timecode"),
    Property("data: KLV", partial(sources.data, codec="klv"), codecs("data"), "klv"),
    Property("data: SCTE-35", sources.cues, codecs("unknown"), "SCTE-35"),
)

#: What the picture says of itself.
PICTURE = (
    Property("25 frames a second", sources.plain, times, "times"),
    Property("30000/1001", _clip(pts=_NTSC, time_base=Fraction(1, 30000)), times, "times"),
    Property("variable rate", _clip(pts=_VFR, time_base=Fraction(1, 1000)), times, "times"),
    Property("field order", sources.interlaced, said(lambda i: i.field_order), "interlace"),
    Property(
        "aspect of a pixel, 16:11",
        _clip(aspect=Fraction(16, 11)),
        said(lambda i: i.sample_aspect_ratio),
        "aspect",
    ),
    Property("turned by 90 degrees", _clip(rotation_ccw=90), bright_corner, "turn"),
    Property("mirrored", _clip(mirror=True), bright_corner, "mirror"),
    Property("HDR10 mastering display", sources.hdr, said(lambda i: i.mastering), "HDR10"),
    Property("HDR10 light level", sources.hdr, said(lambda i: i.light_level), "HDR10"),
    Property("chroma at the top left", sources.hdr, said(place), "chroma", may_become=True),
    Property("BT.2020, PQ", sources.hdr, said(colours), "matrix"),
    Property("BT.601 of 625 lines", _clip(colour=_BT601), said(colours), "matrix"),
    Property("full range", _clip(colour=(1, 2, 1, 1)), said(lambda i: i.colour.range), "range"),
    Property("captions (CEA-708)", sources.captions, said(lambda i: i.has_captions), "captions"),
    Property("active format", sources.active_format, said(lambda i: i.extras), "active format"),
    Property("stereo packing", sources.stereo, said(lambda i: i.extras), "stereo"),
    Property("alpha", _samples("yuva420p"), said(lambda i: i.has_alpha), "alpha"),
    Property("10 bits", sources.hdr, said(lambda i: i.bit_depth), "bits"),
    Property("12 bits", _samples("yuv444p12le"), said(lambda i: i.bit_depth), "bits"),
    Property("4:2:2", _samples("yuv422p"), said(chroma), "4:2:2", may_become=True),
    Property("4:4:4", _samples("yuv444p"), said(chroma), "4:4:4", may_become=True),
    Property("grey", _samples("gray"), said(chroma), "grey", may_become=True),
    Property("RGB", _samples("bgr0"), said(lambda i: i.is_rgb), "RGB"),
    Property(
        "odd width and height",
        _clip(width=257, height=145, pixel_format="yuv444p"),
        said(lambda i: i.upright_size),
        "size",
    ),
)
