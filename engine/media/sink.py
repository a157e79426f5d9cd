"""Writing a video: `open_sink` takes frames and ends in a file or an image folder."""

from __future__ import annotations

import os
from abc import abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

import av

from keeprt.engine.errors import MediaError, UsageError
from keeprt.engine.media.encoding import VIDEO_SUFFIXES
from keeprt.engine.media.errors import PathLike, display_name
from keeprt.engine.media.info import RgbImage, VideoInfo
from keeprt.engine.media.source import SourceFrame


class Sink(AbstractContextManager["Sink"]):
    """An output that is being written; use it in a `with`, from one thread at a time.

    Leaving the `with` cleanly finishes the output and puts it under its name; an exception or
    Ctrl-C removes what was written.
    """

    path: Path

    @abstractmethod
    def write(self, frame: SourceFrame | av.VideoFrame) -> None:
        """Write a native frame as it is, at its own time; its orientation must be the source's."""

    @abstractmethod
    def write_rgb(self, rgb: RgbImage, like: SourceFrame) -> None:
        """Write an upright full-range RGB picture, uint8 or uint16 (H, W, 3), at `like`'s time."""

    @abstractmethod
    def close(self) -> None:
        """Finish the output and put it under its name; MediaError if no frame was written."""

    @abstractmethod
    def abort(self) -> None:
        """Stop and remove what was written; nothing happens after `close`."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


def open_sink(
    path: PathLike,
    like: VideoInfo,
    *,
    source_path: PathLike | None = None,
    width: int | None = None,
    height: int | None = None,
    codec: str = "auto",
    crf: float | None = None,
    bitrate: int | None = None,
    preset: str = "medium",
    pixel_format: str = "auto",
    overwrite: bool = True,
    copy_streams: bool = True,
    start_s: float = 0.0,
    duration_s: float | None = None,
) -> Sink:
    """Open an output for frames of a video like `like`: a video file, or a folder of PNG images.

    A path without a suffix, or of an existing folder, is an image folder; its files are named as
    the source's images, or frame_000000.png from a video.

    For a video, sound and subtitles are copied from `source_path` (default: `like.path`), packets
    untouched, unless `copy_streams` is off. Depth, chroma, colour tags, sample aspect ratio,
    timestamps and time base are the source's. Matroska and WebM count milliseconds, so other
    times are rounded to these; MPEG-TS may move the whole file by a constant.

    Orientation: pictures are stored as the source stored them, and the display matrix is written
    back; `write_rgb` turns upright pictures back into that orientation. The output plays upright
    as the source does, and both ways of writing can be mixed. Where the container has no display
    matrix (.webm, .ts, image folders), pictures are stored upright.

    `width` and `height` are those of the stored picture (default: the source's). Odd sizes are
    kept: 4:2:0 cannot code them, so 4:2:2 or 4:4:4 is used (see `choose_pixel_format`).

    `start_s` and `duration_s` must be those given to `open_source`: the output's clock then
    starts there. `crf` is the encoder's own scale (default 18 for libx264); `bitrate` in bit/s.

    Raises UsageError or MediaError before any work: unknown suffix, encoder or option, an output
    that is the input, a folder that does not exist or cannot be written, sound that the container
    cannot hold.
    """
    from keeprt.engine.media.image_sink import ImageSink
    from keeprt.engine.media.video_sink import Encoding, Trim, VideoSink

    target = Path(path)
    suffix = target.suffix.lower()
    inputs: list[PathLike] = [like.path] if source_path is None else [like.path, source_path]
    size = (width or like.width, height or like.height)
    if not suffix or target.is_dir():
        return ImageSink(target, like, size, inputs, overwrite)
    if suffix not in VIDEO_SUFFIXES:
        raise UsageError(
            f"{display_name(path)}: cannot write {suffix} video; use {', '.join(VIDEO_SUFFIXES)} "
            "or a folder name for images"
        )
    sound_from: PathLike | None = None
    if copy_streams:
        sound_from = source_path or (None if like.is_folder else like.path)
    encoding = Encoding(size, codec, crf, bitrate, preset, pixel_format)
    trim = Trim(start_s, None if duration_s is None else start_s + duration_s)
    return VideoSink(target, like, encoding, inputs, sound_from, trim, overwrite)


def native_of(frame: SourceFrame | av.VideoFrame) -> av.VideoFrame:
    """The decoded frame itself."""
    return frame.native if isinstance(frame, SourceFrame) else frame


def check_picture(rgb: RgbImage, size: tuple[int, int]) -> None:
    """UsageError unless `rgb` is uint8 or uint16 (H, W, 3) of this (W, H)."""
    width, height = size
    if rgb.shape != (height, width, 3) or str(rgb.dtype) not in ("uint8", "uint16"):
        raise UsageError(
            f"expected a uint8 or uint16 picture of shape ({height}, {width}, 3), "
            f"got {rgb.dtype} {rgb.shape}"
        )


def nothing_written(path: PathLike) -> MediaError:
    """The error for an output that was closed without a frame."""
    return MediaError(f"no frame was written to {display_name(os.fspath(path))}")
