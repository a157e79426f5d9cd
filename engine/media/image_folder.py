"""A folder of images as a video."""

from __future__ import annotations

import re
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

import av
import av.error

from keeprt.engine.errors import MediaError
from keeprt.engine.media.colour import Converter, tags_of
from keeprt.engine.media.errors import display_name, reason
from keeprt.engine.media.info import FULL_RANGE, VideoInfo
from keeprt.engine.media.source import SourceFrame, VideoSource
from keeprt.engine.media.video_file import display_matrix

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})


def natural_key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """A sort key that reads numbers as numbers: frame2 comes before frame10."""
    parts = re.split(r"(\d+)", path.name.casefold())
    numbers = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]
    return numbers, path.name


def open_image_folder(
    folder: Path, rate: Fraction, start_s: float, duration_s: float | None
) -> VideoSource:
    """See `open_source`; one image is held at a time."""
    images = sorted((p for p in folder.iterdir() if _is_image(p)), key=natural_key)
    if not images:
        kinds = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
        raise MediaError(f"the folder {display_name(folder)} holds no images ({kinds})")
    first = read_image(images[0])
    info = _describe(folder, images, first, rate)
    begin = round(start_s * rate)
    end = len(images) if duration_s is None else begin + max(1, round(duration_s * rate))
    if begin >= len(images):
        raise MediaError(f"{display_name(folder)} has no images from {start_s:g} s on")
    frames = _frames(images, range(begin, min(end, len(images))), info)
    return VideoSource(info, frames, frames.close)


def read_image(path: Path) -> av.VideoFrame:
    """The first picture in an image file, as stored."""
    try:
        with av.open(str(path), "r", metadata_errors="replace") as container:
            frame = next(container.decode(video=0), None)
    except (av.error.FFmpegError, ValueError, IndexError, OSError) as error:
        raise MediaError(f"cannot read the image {display_name(path)}: {reason(error)}") from error
    if frame is None:
        raise MediaError(f"the image {display_name(path)} holds no picture")
    if not frame.color_range:
        frame.color_range = FULL_RANGE
    return frame


def _is_image(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return not hidden and path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def _describe(folder: Path, images: list[Path], first: av.VideoFrame, rate: Fraction) -> VideoInfo:
    return VideoInfo(
        path=folder,
        width=first.width,
        height=first.height,
        pixel_format=first.format.name,
        bit_depth=max(component.bits for component in first.format.components),
        time_base=1 / rate,
        average_rate=rate,
        frame_count=len(images),
        duration_s=float(len(images) / rate),
        colour=tags_of(first),
        display_matrix=display_matrix(first),
        codec="images",
        is_rgb=first.format.is_rgb or first.format.has_palette,
        is_folder=True,
    )


def _frames(
    images: list[Path], chosen: range, info: VideoInfo
) -> Generator[SourceFrame, None, None]:
    converter = Converter()
    for index, number in enumerate(chosen):
        native = read_image(images[number])
        if (native.width, native.height) != (info.width, info.height):
            raise MediaError(
                f"{display_name(info.path)}: frame {index} ({images[number].name}) is "
                f"{native.width}x{native.height}, the first is {info.width}x{info.height}"
            )
        native.pts, native.time_base = number, info.time_base
        time_s = float(number * info.time_base)
        yield SourceFrame(native, index, time_s, info, converter, images[number].stem)
