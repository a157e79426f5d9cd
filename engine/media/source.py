"""Reading a video: `open_source` gives its frames one at a time, from a file or an image folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray

from keeprt.engine.errors import UsageError
from keeprt.engine.media.colour import Converter, tags_of
from keeprt.engine.media.errors import MediaNotFoundError, PathLike, display_name
from keeprt.engine.media.info import ColourTags, VideoInfo


@dataclass(frozen=True)
class SourceFrame:
    """One frame as decoded, with the pictures that can be made of it.

    `native` is the stored, unrotated frame with its pts and time base; `index` counts the frames
    given from 0; `time_s` is pts times time base; `name` is the image's file name without suffix,
    None for a video.
    """

    native: av.VideoFrame
    index: int
    time_s: float
    info: VideoInfo
    converter: Converter
    name: str | None = None

    @property
    def colour(self) -> ColourTags:
        """This frame's own tags."""
        return tags_of(self.native)

    def rgb(self) -> NDArray[np.uint8]:
        """The upright picture, uint8 (H, W, 3), full-range RGB in the video's own primaries."""
        picture = self.converter.to_rgb(self.native, self.colour, 8)
        return cast(NDArray[np.uint8], self.info.orientation.upright(picture))

    def rgb16(self) -> NDArray[np.uint16]:
        """Like `rgb`, uint16 (H, W, 3) over 0..65535, for video of more than 8 bits."""
        picture = self.converter.to_rgb(self.native, self.colour, 16)
        return cast(NDArray[np.uint16], self.info.orientation.upright(picture))


class VideoSource(AbstractContextManager["VideoSource"]):
    """An opened video: `info`, and its frames by iterating once, from one thread."""

    def __init__(
        self, info: VideoInfo, frames: Iterator[SourceFrame], close: Callable[[], None]
    ) -> None:
        self.info = info
        self._frames = frames
        self._close = close

    def __iter__(self) -> Iterator[SourceFrame]:
        return self._frames

    def close(self) -> None:
        """Release the file and the decoder; calling it twice is fine."""
        self._close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_source(
    path: PathLike,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    strict: bool = True,
    image_rate: Fraction = Fraction(25),
    hwaccel: str | None = None,
) -> VideoSource:
    """Open a video file, or a folder of images in natural order (frame2 before frame10).

    `start_s` and `duration_s` choose a part, in seconds after the first frame's time. A frame
    keeps the timestamp that it has in the file. Images get `image_rate` frames a second. With
    `hwaccel` "cuda" a video is decoded by the NVIDIA card, see `hardware_decoder`.

    With `strict`, damage is an error: whoever restores a video wants to know that a third of it is
    missing. A packet that cannot be decoded, a stream that ends before the length that its
    container declares, raise TruncatedMediaError with the number of frames decoded before.
    `strict=False` skips what cannot be decoded and ends where the data end. A file cut short in a
    container that declares no length (MPEG-TS) cannot be told from a whole one.

    Timestamps that are missing are filled in from the frame rate; ones that do not increase are
    moved one tick behind the frame before.

    Raises MediaNotFoundError, or MediaError for what is not a video, has no frames, or changes
    its picture size in the middle (the message names the frame).
    """
    from keeprt.engine.media.hardware import hardware_decoder
    from keeprt.engine.media.image_folder import open_image_folder
    from keeprt.engine.media.video_file import open_video_file

    if start_s < 0 or (duration_s is not None and duration_s <= 0):
        raise UsageError("the start must not be negative and the duration must be above 0")
    decoder = hardware_decoder(hwaccel)
    name = str(path)
    if "://" not in name and not Path(path).exists():
        raise MediaNotFoundError(f"no such file or folder: {display_name(path)}")
    if "://" not in name and Path(path).is_dir():
        return open_image_folder(Path(path), image_rate, start_s, duration_s)
    return open_video_file(path, start_s, duration_s, strict, decoder)
