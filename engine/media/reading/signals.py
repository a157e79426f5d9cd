"""What a first frame says of itself beside its colour: fields, chroma, HDR, captions, rotation."""

from __future__ import annotations

import re
import struct
from fractions import Fraction
from typing import Any

import av
import av.error
from av.sidedata.sidedata import Type as SideDataType

from keeprt.engine.media.errors import logged_lines
from keeprt.engine.media.filters import filtered
from keeprt.engine.media.info import (
    STEREO,
    ChromaLocation,
    FieldOrder,
    LightLevel,
    Mastering,
    has_alpha,
)
from keeprt.engine.media.pyav import side_data

# AVMasteringDisplayMetadata and AVContentLightMetadata as they lie in memory: AVRational is two
# ints, red green blue white each x and y, the luminance least then most, two flags.
_MASTERING, _LIGHT = struct.Struct("=22i"), struct.Struct("=2I")
_SHOWN = re.compile(r"\bcl:(?P<chroma>\w+) sar:(?P<aspect>\d+/\d+) .*\bi:(?P<field>[TBP])")
_FIELDS: dict[str, FieldOrder] = {"T": "tt", "B": "bb", "P": "progressive"}
_EXTRAS = {
    SideDataType.DOVI_RPU_BUFFER: "Dolby Vision",
    SideDataType.DOVI_METADATA: "Dolby Vision",
    SideDataType.DYNAMIC_HDR_PLUS: "HDR10+",
    SideDataType.DYNAMIC_HDR_VIVID: "HDR Vivid",
    SideDataType.AFD: "active format description",
    SideDataType.SPHERICAL: "spherical projection",
    SideDataType.STEREO3D: STEREO,
}
_CHROMA: dict[str, ChromaLocation] = {
    "left": "left",
    "center": "center",
    "topleft": "topleft",
    "top": "top",
    "bottomleft": "bottomleft",
    "bottom": "bottom",
}


def signals_of(first: av.VideoFrame) -> dict[str, Any]:
    """The fields of `VideoInfo` that only a decoded frame can tell."""
    data = side_data_of(first)
    chroma, field = _place_and_field(first)
    return {
        "display_matrix": display_matrix(data),
        "field_order": field if first.interlaced_frame else "progressive",
        "chroma_location": chroma,
        "mastering": _mastering(data),
        "light_level": _light_level(data),
        "extras": tuple(dict.fromkeys(_EXTRAS[kind] for kind in data if kind in _EXTRAS)),
        "has_captions": SideDataType.A53_CC in data,
        "has_alpha": has_alpha(first.format),
    }


def side_data_of(frame: av.VideoFrame) -> dict[SideDataType, bytes]:
    """The side data of a frame, of the kinds that PyAV can hold; none of what cannot be scaled."""
    try:
        # Asking for side data ties a frame into a reference cycle: let that be one of few pixels.
        small = frame.reformat(width=16, height=16, format="gray", threads=1)
    except (av.error.FFmpegError, ValueError):
        return {}
    return {item.type: bytes(item) for item in side_data(small)}


def display_matrix(data: dict[SideDataType, bytes]) -> tuple[int, ...] | None:
    """The display matrix that a frame carries: 9 integers, None if it carries none."""
    found = data.get(SideDataType.DISPLAYMATRIX)
    return None if found is None else struct.unpack("=9i", found)


def aspect_of(frame: av.VideoFrame) -> Fraction | None:
    """The aspect of a pixel of this very frame; None if it says none."""
    found = _shown(frame)
    if found is None or found["aspect"].startswith("0/") or found["aspect"].endswith("/0"):
        return None
    return Fraction(found["aspect"])


def _shown(frame: av.VideoFrame) -> re.Match[str] | None:
    """What PyAV does not tell of a frame, by FFmpeg's filter."""
    lines = logged_lines(lambda: _show(frame))
    return next((match for line in lines if (match := _SHOWN.search(line))), None)


def _place_and_field(frame: av.VideoFrame) -> tuple[ChromaLocation | None, FieldOrder]:
    """Where chroma lies and which field comes first."""
    found = _shown(frame)
    if found is None:
        return None, "tt"
    return _CHROMA.get(found["chroma"]), _FIELDS[found["field"]]


def _show(frame: av.VideoFrame) -> None:
    small = frame.reformat(width=16, height=16, threads=1) if frame.format.components else frame
    filtered(small, ("showinfo", "checksum=0:udu_sei_as_ascii=1"))


def _mastering(data: dict[SideDataType, bytes]) -> Mastering | None:
    found = data.get(SideDataType.MASTERING_DISPLAY_METADATA)
    if found is None or len(found) < _MASTERING.size:
        return None
    values = _MASTERING.unpack(found[: _MASTERING.size])
    ratios = [
        Fraction(values[at], values[at + 1]) if values[at + 1] else Fraction(0)
        for at in range(0, 20, 2)
    ]
    if not values[20] and not values[21]:
        return None
    points = tuple(zip(ratios[0:8:2], ratios[1:8:2], strict=True))
    return Mastering(points[0], points[1], points[2], points[3], ratios[8], ratios[9])


def _light_level(data: dict[SideDataType, bytes]) -> LightLevel | None:
    found = data.get(SideDataType.CONTENT_LIGHT_LEVEL)
    if found is None or len(found) < _LIGHT.size:
        return None
    return LightLevel(*_LIGHT.unpack(found[: _LIGHT.size]))
