"""Starting in the middle: a seek is believed only when the first frame's time proves it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import av
import av.error

from keeprt.engine.media.reading.decoder import Decoder

# Containers with an index; others find a place by guessing, and their clock may have jumped before.
_INDEXED = ("mov", "matroska", "avi")
# Seconds before the wanted time that are tried: sound lies up to a second beside its picture.
_BACK_S = (1.0, 5.0, 30.0, 150.0)


def frames_from(
    decoder: Decoder, time_s: float, rest: Iterator[av.VideoFrame], once: bool
) -> Iterator[av.VideoFrame]:
    """Frames that begin at or before `time_s`; `rest` are those that follow the one already read.

    Where the container has no index, or cannot be gone back in, all is read from here on and only
    what is needed is decoded.
    """
    time_base = decoder.time_base
    if not once and decoder.demuxer.container.format.name.startswith(_INDEXED):
        found = _sought(decoder, time_s)
        if found is not None:
            return found
    decoder.skip_to(int(time_s / time_base))
    return rest


def _sought(decoder: Decoder, time_s: float) -> Iterator[av.VideoFrame] | None:
    """Frames after a seek that went far enough back; from the start if none does."""
    time_base = decoder.time_base
    container = decoder.demuxer.container
    first_s = (container.start_time or 0) / av.time_base
    for back_s in (*_BACK_S, float("inf")):
        at_s = max(first_s, time_s - back_s)
        try:
            container.seek(int(at_s / time_base), stream=decoder.stream)
        except av.error.FFmpegError:
            continue
        decoder.restart()
        frames = decoder.frames()
        first = next(frames, None)
        if (first is not None and (first.pts or 0) * time_base <= time_s) or at_s == first_s:
            return frames if first is None else itertools.chain([first], frames)
    return None
