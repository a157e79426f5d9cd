"""A video that is being written: what every sink promises."""

from __future__ import annotations

import os
from abc import abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

import av

from keeprt.engine.errors import MediaError, UsageError
from keeprt.engine.media.errors import PathLike, display_name
from keeprt.engine.media.info import RgbImage
from keeprt.engine.media.source import SourceFrame


class Sink(AbstractContextManager["Sink"]):
    """An output that is being written; use it in a `with`, from one thread at a time.

    Leaving the `with` cleanly finishes the output and puts it under its name; an exception or
    Ctrl-C removes what was written.
    """

    path: Path

    @property
    def losses(self) -> list[str]:
        """One line for each thing of the source that is not in the output."""
        return []

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
