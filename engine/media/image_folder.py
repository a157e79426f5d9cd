"""A folder of images as a video. Each image speaks for itself: name, depth, grey, alpha, turn."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Generator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av

from keeprt.engine.errors import MediaError
from keeprt.engine.media.colour import Converter, tags_of
from keeprt.engine.media.errors import display_name
from keeprt.engine.media.image_file import (
    IMAGE_SUFFIXES,
    missing_numbers,
    natural_key,
    read_image,
)
from keeprt.engine.media.image_tags import display_matrix_of
from keeprt.engine.media.info import FULL_RANGE, Orientation, VideoInfo
from keeprt.engine.media.source import SourceFrame, VideoSource

log = logging.getLogger(__name__)
_NAMED_GAPS = 3


def open_image_folder(
    folder: Path, rate: Fraction, start_s: float, duration_s: float | None
) -> VideoSource:
    """See `open_source`; one image is held at a time."""
    images = sorted((p for p in folder.iterdir() if _is_image(p)), key=natural_key)
    if not images:
        kinds = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
        raise MediaError(f"the folder {display_name(folder)} holds no images ({kinds})")
    info = _describe(folder, images, rate)
    begin = round(start_s * rate)
    end = len(images) if duration_s is None else begin + max(1, round(duration_s * rate))
    if begin >= len(images):
        raise MediaError(f"{display_name(folder)} has no images from {start_s:g} s on")
    _say_gaps(folder, images)
    frames = _frames(images, range(begin, min(end, len(images))), info)
    return VideoSource(info, frames, frames.close)


def _is_image(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return not hidden and path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def _say_gaps(folder: Path, images: list[Path]) -> None:
    gaps = missing_numbers(images)
    if gaps:
        named = ", ".join(gaps[:_NAMED_GAPS]) + (" ..." if len(gaps) > _NAMED_GAPS else "")
        log.warning(
            "%s: numbers are missing in the sequence (%s); the images are taken one after the "
            "other all the same",
            display_name(folder),
            named,
        )


def _describe(folder: Path, images: list[Path], rate: Fraction) -> VideoInfo:
    first = read_image(images[0])
    return VideoInfo(
        path=folder,
        width=first.width,
        height=first.height,
        pixel_format=first.format.name,
        bit_depth=_depth(first),
        time_base=1 / rate,
        average_rate=rate,
        frame_count=len(images),
        duration_s=float(len(images) / rate),
        colour=tags_of(first),
        display_matrix=display_matrix_of(images[0]),
        codec="images",
        is_rgb=_is_rgb(first),
        is_folder=True,
    )


def _frames(
    images: list[Path], chosen: range, info: VideoInfo
) -> Generator[SourceFrame, None, None]:
    converter, names = Converter(), _names(images)
    for index, number in enumerate(chosen):
        native = read_image(images[number])
        native = _turned(native, display_matrix_of(images[number]), info, converter)
        if (native.width, native.height) != (info.width, info.height):
            raise MediaError(
                f"{display_name(info.path)}: frame {index} ({images[number].name}) is "
                f"{native.width}x{native.height}, the first is {info.width}x{info.height}"
            )
        native.pts, native.time_base = number, info.time_base
        time_s = float(number * info.time_base)
        own = replace(
            info,
            path=images[number],
            pixel_format=native.format.name,
            bit_depth=_depth(native),
            colour=tags_of(native),
            is_rgb=_is_rgb(native),
        )
        yield SourceFrame(native, index, time_s, own, converter, names[number])


def _names(images: list[Path]) -> list[str]:
    """Names without suffix; with it where two images differ in nothing else."""
    count = Counter(path.stem for path in images)
    return [path.stem if count[path.stem] == 1 else path.name for path in images]


def _turned(
    native: av.VideoFrame,
    matrix: tuple[int, ...] | None,
    info: VideoInfo,
    converter: Converter,
) -> av.VideoFrame:
    """The image stored as the first one is, if its own orientation is another."""
    own = Orientation.from_matrix(matrix)
    if own == info.orientation:
        return native
    deep = _depth(native) > 8
    upright = own.upright(converter.to_rgb(native, tags_of(native), 16 if deep else 8))
    stored = info.orientation.stored(upright)
    turned = av.VideoFrame.from_ndarray(stored, format="rgb48le" if deep else "rgb24")
    turned.color_range = FULL_RANGE
    return turned


def _depth(native: av.VideoFrame) -> int:
    """Bits a channel, 16 for floating point: what is made of it holds no more."""
    return min(16, max(component.bits for component in native.format.components))


def _is_rgb(native: av.VideoFrame) -> bool:
    return bool(native.format.is_rgb or native.format.has_palette)
