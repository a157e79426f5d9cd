"""One image file: its first picture, whole or refused."""

from __future__ import annotations

import itertools
import re
import struct
from pathlib import Path

import av
import av.error
import numpy as np

from keeprt.engine.errors import MediaError
from keeprt.engine.media.errors import display_name, reason
from keeprt.engine.media.info import FULL_RANGE
from keeprt.engine.media.pyav import open_input

#: What is read. EXR's light is given sRGB's curve; DPX is taken as it is coded.
IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".dpx", ".exr"}
)
#: What is written for what was read: the same kind where cv2 writes it without loss, else PNG.
WRITTEN = {".png": ".png", ".tif": ".tif", ".tiff": ".tiff", ".bmp": ".bmp"}
_SIGNATURES = {
    "png": rb"\x89PNG",
    "jpeg": rb"\xff\xd8\xff",
    "bmp": rb"BM",
    "tiff": rb"II[*+]\0|MM\0[*+]",
    "webp": rb"RIFF....WEBP",
    "dpx": rb"SDPX|XPDS",
    "exr": rb"\x76\x2f\x31\x01",
}
_DECODING = {"jpeg": {"err_detect": "explode"}}
LINEAR, SRGB = 8, 13  # FFmpeg's numbers of transfer curves
_COLOURS = 3
# Not stuffing, not a restart, not padding: what a segment or the end begins with.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd8\xff]")


def read_image(path: Path) -> av.VideoFrame:
    """The first picture in an image file, as stored.

    Raises MediaError for what is no image, is damaged, or was cut short.
    """
    name = display_name(path)
    try:
        kind = _kind(path)
        if kind in _WHOLE:
            _WHOLE[kind](path.read_bytes())
        frame = _decode(path, kind)
    except (av.error.FFmpegError, ValueError, IndexError, OSError, struct.error) as error:
        words = f"it is damaged, cut short or no image ({reason(error)})"
        raise MediaError(f"cannot read the image {name}: {words}") from error
    if frame is None:
        raise MediaError(f"the image {name} holds no picture")
    if not frame.color_range:
        frame.color_range = FULL_RANGE
    return frame


def _kind(path: Path) -> str:
    """By what the file begins with, whatever its name says."""
    with path.open("rb") as file:
        head = file.read(12)
    for kind, pattern in _SIGNATURES.items():
        if re.match(pattern, head, re.DOTALL):
            return kind
    raise ValueError("it begins as no image of these kinds does")


def _decode(path: Path, kind: str) -> av.VideoFrame | None:
    # Of these formats the name is a name: elsewhere %03d in it stands for another file.
    with open_input(path.absolute(), format=f"{kind}_pipe") as file:
        file.streams.video[0].codec_context.options = _DECODING.get(kind, {})
        frame = next(file.decode(video=0), None)
    return None if frame is None else _coded(frame)


def _coded(frame: av.VideoFrame) -> av.VideoFrame:
    """EXR holds light in float32: the same under sRGB's curve (IEC 61966-2-1), alpha as it is.

    FFmpeg's decoder did this when asked to, until 8.1.
    """
    if frame.color_trc != LINEAR or "f32" not in frame.format.name:
        return frame
    values = frame.to_ndarray()
    light = values[..., :_COLOURS] if values.ndim > 2 else values
    bright = 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    light[...] = np.where(light <= 0.0031308, 12.92 * light, bright)
    coded = av.VideoFrame.from_ndarray(values, frame.format.name)
    coded.color_trc, coded.color_range = SRGB, frame.color_range
    return coded


def _check_jpeg(data: bytes) -> None:
    """FFmpeg fills up a picture whose end is missing, and says nothing: its last marker, EOI, has
    to come after the scans."""
    place = 2
    while found := _JPEG_MARKER.search(data, place):
        kind = found[0][1]
        if kind == 0xD9:
            return
        (size,) = struct.unpack_from(">H", data, found.end())
        place = found.end() + size
    raise ValueError("its end is missing")


def _check_exr(data: bytes) -> None:
    """FFmpeg leaves missing lines black: the last block of lines has to be there."""
    place = 8
    while data[place] != 0:
        after_name = data.index(b"\0", place) + 1
        after_type = data.index(b"\0", after_name) + 1
        (size,) = struct.unpack_from("<i", data, after_type)
        place = after_type + 4 + size
    (first,) = struct.unpack_from("<Q", data, place + 1)
    offsets = struct.unpack_from(f"<{(first - place - 1) // 8}Q", data, place + 1)
    head = 20 if data[5] & 2 else 8  # tiles have four coordinates in front of their size
    (size,) = struct.unpack_from("<i", data, max(offsets) + head - 4)
    if max(offsets) + head + size > len(data):
        raise ValueError("its last lines are missing")


_WHOLE = {"jpeg": _check_jpeg, "exr": _check_exr}


def natural_key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """A sort key that reads numbers as numbers: frame2 comes before frame10."""
    parts = re.split(r"(\d+)", path.name.casefold())
    numbers = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]
    return numbers, path.name


def missing_numbers(images: list[Path]) -> list[str]:
    """Where the last numbers of names that are alike otherwise make larger steps than usual:
    "after shot_0012.png"."""
    found = [(re.fullmatch(r"(.*?)(\d+)(\D*)", path.name), path.name) for path in images]
    steps = [
        (int(two[2]) - int(one[2]), name)
        for (one, name), (two, _) in itertools.pairwise(found)
        if one is not None and two is not None and (one[1], one[3]) == (two[1], two[3])
    ]
    usual = min((step for step, _ in steps), default=1)
    return [f"after {name}" for step, name in steps if step > usual]
