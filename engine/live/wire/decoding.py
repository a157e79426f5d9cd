"""Access units to frames without delay: slice threads, captions beside, errors counted.

Interface: `decoder = Decoder(codec)`; `decoder.decode(unit)` gives the frames that are ready, each
a `Decoded` with its PTS (33 bits of 90 kHz) and the captions that came with it or before it.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import av
import av.error
from av.codec.context import ThreadType

from keeprt.engine.live.captions import captions_in
from keeprt.engine.live.timeline import TICKS_PER_S
from keeprt.engine.live.ts.demux import AccessUnit
from keeprt.engine.media.pyav import fraction

TIME_BASE = Fraction(1, TICKS_PER_S)
MOST_THREADS = 4
_MOST_WAITING = 64  # captions of pictures that never came


@dataclass(frozen=True)
class Decoded:
    """`captions`: triplets, see `captions.CaptionQueue.take`."""

    frame: av.VideoFrame
    pts: int | None
    captions: bytes


class Decoder:
    """One elementary stream; frame threads would hold a frame for each thread."""

    def __init__(self, codec: str) -> None:
        self.codec, self.errors, self.corrupt = codec, 0, 0
        # What PyAV's types leave open: of any codec, here of a picture's.
        self.context: Any = av.CodecContext.create(codec, "r")
        self.context.thread_type = ThreadType.SLICE
        self.context.thread_count = min(MOST_THREADS, os.cpu_count() or 1)
        self._captions: dict[int, bytes] = {}

    @property
    def rate(self) -> Fraction | None:
        """What the stream's headers say; None where they do not."""
        with contextlib.suppress(ZeroDivisionError):
            return fraction(self.context.framerate)
        return None

    @property
    def reorder_frames(self) -> int:
        """How many pictures a picture waits for that are shown before it."""
        return int(self.context.has_b_frames)

    def decode(self, unit: AccessUnit) -> list[Decoded]:
        """The frames that are ready; none for what cannot be decoded."""
        if not unit.data:
            return []
        packet = av.Packet(unit.data)
        packet.pts, packet.dts, packet.time_base = unit.pts, unit.dts, TIME_BASE
        self._note_captions(unit)
        try:
            frames = cast("list[av.VideoFrame]", self.context.decode(packet))
        except (av.error.FFmpegError, ValueError):
            self.errors += 1
            return []
        self.corrupt += sum(frame.is_corrupt for frame in frames)
        return [Decoded(frame, frame.pts, self._captions_to(frame.pts)) for frame in frames]

    def _note_captions(self, unit: AccessUnit) -> None:
        triplets = captions_in(unit.data, self.codec)
        if triplets and unit.pts is not None:
            self._captions[unit.pts] = triplets
            while len(self._captions) > _MOST_WAITING:
                del self._captions[next(iter(self._captions))]

    def _captions_to(self, pts: int | None) -> bytes:
        """Of this picture, and of those before it that could not be decoded."""
        if not self._captions or pts is None:
            return b""
        ready = sorted(p for p in self._captions if p <= pts)
        return b"".join(self._captions.pop(p) for p in ready)
