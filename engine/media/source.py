"""A video that is being read: its frames, one at a time, as any opener gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray

from keeprt.engine.media.colour import Converter, tags_of
from keeprt.engine.media.hardware import downloaded
from keeprt.engine.media.info import ColourTags, VideoInfo
from keeprt.engine.media.reading.changes import Changes
from keeprt.engine.media.reading.container import Opened
from keeprt.engine.media.reading.damage import Damage
from keeprt.engine.media.reading.demux import Demuxer
from keeprt.engine.media.reading.programmes import Programme


@dataclass(frozen=True, eq=False)
class Field:
    """What half of an interlaced frame a picture is: its even lines (0) or its odd ones (1).
    whole: the frame. is_last: the other field came before."""

    parity: int
    whole: SourceFrame
    is_last: bool


@dataclass(frozen=True)
class SourceFrame:
    """One frame as decoded, with the pictures that can be made of it.

    `decoded` is the stored, unrotated frame with its pts and time base, on a card where its decoder
    left it there; `index` counts the frames given from 0; `time_s` is pts times time base; `name`
    is the image's file name without suffix, None for a video. `field` is None for a whole frame.
    """

    decoded: av.VideoFrame
    index: int
    time_s: float
    info: VideoInfo
    converter: Converter
    name: str | None = None
    field: Field | None = None

    @cached_property
    def native(self) -> av.VideoFrame:
        """The decoded frame in host memory. Raises MediaError."""
        return downloaded(self.decoded)

    @property
    def parity(self) -> int | None:
        """0 or 1 for a field of even or odd lines, None for a whole frame."""
        return None if self.field is None else self.field.parity

    @property
    def colour(self) -> ColourTags:
        """This frame's own tags."""
        return tags_of(self.decoded)

    def rgb(self) -> NDArray[np.uint8]:
        """The upright picture, uint8 (H, W, 3), full-range RGB in the video's own primaries."""
        picture = self.converter.to_rgb(self.native, self.colour, 8)
        return cast(NDArray[np.uint8], self.info.orientation.upright(picture))

    def rgb16(self) -> NDArray[np.uint16]:
        """Like `rgb`, uint16 (H, W, 3) over 0..65535, for video of more than 8 bits."""
        picture = self.converter.to_rgb(self.native, self.colour, 16)
        return cast(NDArray[np.uint16], self.info.orientation.upright(picture))


@dataclass(frozen=True)
class Others:
    """What an opened file holds beside the picture, for a sink: its packets come by `feed`."""

    opened: Opened
    demuxer: Demuxer
    programme: Programme | None


class VideoSource(AbstractContextManager["VideoSource"]):
    """An opened video: `info`, and its frames by iterating once, from one thread.

    `damage` counts what could not be read. `others` is None for a folder of images.
    """

    def __init__(
        self,
        info: VideoInfo,
        frames: Iterator[SourceFrame],
        close: Callable[[], None],
        damage: Damage | None = None,
        others: Others | None = None,
        changes: Changes | None = None,
    ) -> None:
        self.info = info
        self.damage, self.others, self.changes = damage, others, changes
        self._frames = frames
        self._close = close

    def notes(self) -> list[str]:
        """What is to be said at the end: damage that was skipped, properties that changed."""
        told = (self.damage, self.changes)
        lines = [one.summary() for one in told if one is not None]
        return [line for line in lines if line is not None]

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
