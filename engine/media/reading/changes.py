"""Properties of the picture that change in the middle, for which an output has one value only."""

from __future__ import annotations

import logging
from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext

from keeprt.engine.media.colour import tags_of
from keeprt.engine.media.hardware import stored_format
from keeprt.engine.media.info import ColourTags, VideoInfo
from keeprt.engine.media.pyav import fraction
from keeprt.engine.media.reading.signals import aspect_of

log = logging.getLogger(__name__)
_SHOWN = 8


class Changes:
    """Says each change once as it comes; `places` holds the first of them as text."""

    def __init__(self, info: VideoInfo, decoder: VideoCodecContext, first: av.VideoFrame) -> None:
        self._decoder = decoder
        self._aspect = aspect_of(first) or Fraction(1)
        self._format, self._colour = info.pixel_format, info.colour
        self.count = 0
        self.places: list[str] = []

    def look(self, frame: av.VideoFrame, index: int) -> None:
        """Compares a frame with the one before."""
        aspect = fraction(self._decoder.sample_aspect_ratio) or self._aspect
        if aspect != self._aspect:
            # The decoder is some frames ahead of what it gives.
            aspect = aspect_of(frame) or self._aspect
        colour, name = tags_of(frame), stored_format(frame).name
        if (aspect, name, colour) == (self._aspect, self._format, self._colour):
            return
        if aspect != self._aspect:
            self._say(index, f"the aspect ratio of a pixel changes from {self._aspect} to {aspect}")
        if name != self._format:
            self._say(index, f"the pixel format changes from {self._format} to {name}")
        if colour != self._colour:
            self._say(index, f"the colour changes from {_words(self._colour)} to {_words(colour)}")
        self._aspect, self._format, self._colour = aspect, name, colour

    def summary(self) -> str | None:
        """One line for the end; None if nothing changed."""
        if not self.count:
            return None
        more = f" and {self.count - _SHOWN} more" if self.count > _SHOWN else ""
        return f"{'; '.join(self.places)}{more}; the output says the first value throughout"

    def _say(self, index: int, what: str) -> None:
        self.count += 1
        if len(self.places) < _SHOWN:
            self.places.append(f"at frame {index} {what}")
            log.info("at frame %d %s", index, what)


def _words(colour: ColourTags) -> str:
    return f"{colour.matrix}/{colour.range}/{colour.primaries}/{colour.transfer}"
