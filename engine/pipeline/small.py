"""The small picture that faces are looked for in: made on the network's card, or on the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keeprt.engine.devices.cuda.planes import CardPlanes
from keeprt.engine.errors import BackendError
from keeprt.engine.faces.detection import Rgb
from keeprt.engine.media import SourceFrame, VideoInfo
from keeprt.engine.media.hardware import planes_on_card
from keeprt.engine.pipeline.loading import warn_once
from keeprt.engine.pipeline.native import tone_for, yuv_format
from keeprt.engine.pipeline.options import RestoreOptions
from keeprt.engine.pipeline.pictures import Pictures, small_size
from keeprt.engine.pipeline.whole_frames import native_planes, whole_frame_format
from keeprt.kernels.frame import FrameFormat

if TYPE_CHECKING:
    from keeprt.engine.devices.cuda.shrinking import CardShrinker


class SmallPictures:
    """Of the frames of one video; from one thread. A card makes those that are made smaller, of
    frames as the video's first; all others, and where it cannot be used, are made on the host."""

    def __init__(self, info: VideoInfo, options: RestoreOptions) -> None:
        self._pictures, self._options = Pictures(options.cpu_threads), options
        self._side, self._info = options.detect_side, info
        self._format = None if options.card is None else whole_frame_format(info)
        self._shrinker: CardShrinker | None = None

    def of(self, frame: SourceFrame) -> Rgb:
        """The upright picture, as `Pictures.small` describes it. Raises BackendError where a card
        fails in its work."""
        size = small_size(frame, self._side)
        shrinker = self._on_card(frame, size)
        if shrinker is None or self._format is None:
            return self._pictures.small(frame, yuv_format(frame), self._side)
        small = shrinker.shrink(self._planes(frame, self._format))
        return np.asarray(frame.info.orientation.upright(small), np.uint8)

    def close(self) -> None:
        """Gives the card's memory back."""
        if self._shrinker is not None:
            self._shrinker.close()
        self._shrinker = None

    def _planes(self, frame: SourceFrame, format: FrameFormat) -> Sequence[Any] | CardPlanes:
        """Where a decoder left them on the card, else on the host."""
        planes = planes_on_card(frame.decoded)
        if planes is None or (planes.pixel_format, planes.card) != (
            format.pixel_format,
            self._options.card,
        ):
            return native_planes(frame, format)
        return planes

    def _on_card(self, frame: SourceFrame, size: tuple[int, int]) -> CardShrinker | None:
        if self._format is None or not _fits(frame, self._format, size):
            return None
        if frame.colour != self._info.colour:
            return None
        if self._shrinker is None:
            self._shrinker = self._opened(self._format, size)
        return self._shrinker

    def _opened(self, format: FrameFormat, size: tuple[int, int]) -> CardShrinker | None:
        from keeprt.engine.devices.cuda.shrinking import CardShrinker

        try:
            return CardShrinker(format, *size, self._options.card or 0)
        except BackendError as error:
            warn_once(f"frames are made smaller for the detector on the host: {error}")
            self._format = None
            return None


def _fits(frame: SourceFrame, format: FrameFormat, size: tuple[int, int]) -> bool:
    """Whether a whole frame of that format is made smaller, on both sides, and seen as it is."""
    whole = (format.width, format.height)
    stored = (frame.decoded.width, frame.decoded.height)
    smaller = size != whole and size[0] <= whole[0] and size[1] <= whole[1]
    return frame.parity is None and tone_for(frame) is None and stored == whole and smaller
