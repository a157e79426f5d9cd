"""Clips on disk without loss (FFV1 in RGB), so that every figure can be computed again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from keeprt.engine.errors import MediaError
from keeprt.engine.media import SourceFrame, VideoInfo, open_sink, open_source
from keeprt.engine.media.colour import Converter
from keeprt.export.training.degradation import Frame

SUFFIX = ".mkv"


def write_clip(path: Path, frames: Sequence[Frame], rate: Fraction) -> None:
    """Writes uint8 (H, W, 3) RGB frames under `path`, an .mkv file, at once."""
    height, width = frames[0].shape[:2]
    info = VideoInfo(
        path=f"<{len(frames)} frames>",
        width=width,
        height=height,
        pixel_format="bgr0",
        bit_depth=8,
        # Matroska counts milliseconds
        time_base=Fraction(1, 1000),
        average_rate=rate,
        is_rgb=True,
    )
    converter = Converter()
    sink = open_sink(path, info, codec="ffv1", pixel_format="bgr0", copy_streams=False)
    with sink:
        for index, frame in enumerate(frames):
            native = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            native.pts, native.time_base = round(1000 * index / rate), info.time_base
            sink.write_rgb(frame, SourceFrame(native, index, index / float(rate), info, converter))


def read_clip(path: Path) -> Iterator[Frame]:
    """The frames that `write_clip` was given. Raises MediaError."""
    with open_source(path) as video:
        for frame in video:
            yield frame.rgb()


def write_picture(path: Path, picture: Frame) -> None:
    """Writes an RGB picture as PNG. Raises MediaError."""
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise MediaError(f"cannot write {path}")


def read_picture(path: Path) -> Frame:
    """The RGB picture of a PNG file, uint8 (H, W, 3). Raises MediaError."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise MediaError(f"cannot read the picture {path}")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
