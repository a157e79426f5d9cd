"""Bytes to frames that have their place in time, and to the packets beside them.

Interface: `intake = Intake(programme)`; `intake.push(data, now_s)` gives, in order, `Passed`
packets, `Arrived` frames, and `Judged` where a frame's time is a jump that is being judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from statistics import median
from time import perf_counter
from typing import Any

import av

from keeprt.engine.live.timeline import TICKS_PER_S, Placed, TimeLine, place
from keeprt.engine.live.ts.demux import AccessUnit, Demux, Passed
from keeprt.engine.live.wire.decoding import TIME_BASE, Decoded, Decoder
from keeprt.engine.media.info import ColourTags, VideoInfo
from keeprt.engine.media.pyav import fraction
from keeprt.engine.media.reading.signals import signals_of

_RATES = (12, 15, 20, 24, 25, 30, 48, 50, 60, 100, 120)
RATES = tuple(sorted({*map(Fraction, _RATES), *(Fraction(n * 1000, 1001) for n in _RATES)}))
_NEAR = 0.004  # share of a period


@dataclass(frozen=True)
class Arrived:
    """`arrival_s`: when this frame came, by when the decoder gave it, less the reordering."""

    frame: av.VideoFrame
    placed: Placed
    captions: bytes
    arrival_s: float
    decode_s: float


@dataclass(frozen=True)
class Judged:
    """A frame was left out: its time is far from the one before."""


Event = Passed | Arrived | Judged


class Intake:
    """`programme`: its number, None for the first."""

    def __init__(self, programme: int | None = None) -> None:
        self.demux = Demux(programme)
        self.decoder: Decoder | None = None
        self.line = TimeLine()
        self.frames = 0
        self._before = (0, 0)  # errors and corrupt pictures of the decoders before this one
        self._step: int | None = None  # ticks from frame to frame
        self._last_pts: int | None = None

    def push(self, data: bytes, now_s: float) -> Iterator[Event]:
        """Takes bytes as they arrive."""
        for event in self.demux.push(data, now_s):
            if isinstance(event, AccessUnit):
                yield from self._unit(event, now_s)
            else:
                yield event

    def begin_line(self) -> None:
        """The next frame begins a new time line, whatever its time."""
        self.line = TimeLine(self.line.line + 1)

    @property
    def errors(self) -> int:
        """Pictures that could not be decoded."""
        return self._before[0] + (self.decoder.errors if self.decoder else 0)

    @property
    def corrupt(self) -> int:
        """Pictures that the decoder calls damaged."""
        return self._before[1] + (self.decoder.corrupt if self.decoder else 0)

    @property
    def why_no_picture(self) -> str:
        """What is missing in what came in so far, for whoever waits for a picture."""
        program = self.demux.program
        if program.pmt_pid is None:
            return "it holds no programme of a transport stream"
        if program.video is None:
            kinds = ", ".join(f"0x{one.stream_type:02X}" for one in program.streams) or "none yet"
            return f"its programme has no H.264, HEVC or MPEG-2 (stream types: {kinds})"
        if self.frames == 0:
            return f"no picture of it can be decoded yet ({self.errors} errors)"
        return f"{self.frames} pictures came, too few for its clock"

    def _unit(self, unit: AccessUnit, now_s: float) -> Iterator[Event]:
        decoder = self._decoder()
        if decoder is None:
            return
        began = perf_counter()
        decoded = decoder.decode(unit)
        spent = perf_counter() - began
        # The delay counts from a picture's own arrival: those shown before it are waited for.
        arrival_s = now_s - decoder.reorder_frames * self._period_s(decoder)
        for one in decoded:
            self.frames += 1
            pts = self._time(one)
            if pts is None:
                continue
            self.line, placed = place(self.line, pts)
            if placed is None:
                yield Judged()
            else:
                yield Arrived(one.frame, placed, one.captions, arrival_s, spent)

    def _decoder(self) -> Decoder | None:
        video = self.demux.program.video
        if video is None or video.video_codec is None:
            return None
        if self.decoder is None or self.decoder.codec != video.video_codec:
            self._before = (self.errors, self.corrupt)
            self.decoder = Decoder(video.video_codec)
        return self.decoder

    def _period_s(self, decoder: Decoder) -> float:
        if decoder.rate:
            return float(1 / decoder.rate)
        return (self._step or TICKS_PER_S // 25) / TICKS_PER_S

    def _time(self, one: Decoded) -> int | None:
        """A picture without a time comes one step after the last: MPEG-2 need not tell all."""
        pts, last = one.pts, self._last_pts
        if pts is not None and last is not None and 0 < pts - last < TICKS_PER_S:
            self._step = pts - last
        if pts is None and last is not None and self._step is not None:
            pts = last + self._step
        self._last_pts = pts
        return pts


class Rate:
    """The frame rate by the times of some frames in a row, and by what the headers say."""

    def __init__(self) -> None:
        self._ticks: list[int] = []

    def see(self, ticks: int) -> None:
        """The time of a frame, in order."""
        self._ticks.append(ticks)
        del self._ticks[:-100]

    def estimate(self, header: Fraction | None) -> Fraction:
        """The rate of cameras nearest to the times; 25 where there are too few of them."""
        steps = [b - a for a, b in zip(self._ticks, self._ticks[1:], strict=False) if b > a]
        if not steps:
            return header or Fraction(25)
        middle = median(steps)
        near = [step for step in steps if abs(step - middle) <= 0.3 * middle]
        period = sum(near) / len(near) / TICKS_PER_S
        if header and abs(float(1 / header) - period) < 0.02 * period:
            return header
        best = min(RATES, key=lambda rate: abs(float(1 / rate) - period))
        if abs(float(1 / best) - period) < _NEAR * period:
            return best
        return Fraction(1 / period).limit_denominator(1001)


def describe(frame: av.VideoFrame, decoder: Decoder, interlaced_as_it_is: bool = True) -> VideoInfo:
    """What the output's signalling and the restorer need to know of the picture."""
    context: Any = decoder.context
    full = frame.format.name.startswith("yuvj")
    colour = ColourTags(
        int(frame.colorspace),
        2 if full else int(frame.color_range),
        int(frame.color_primaries),
        int(frame.color_trc),
    )
    signals = signals_of(frame)
    if not interlaced_as_it_is:
        signals["field_order"] = "progressive"
    return VideoInfo(
        path="live",
        width=frame.width,
        height=frame.height,
        pixel_format=frame.format.name,
        bit_depth=max(component.bits for component in frame.format.components),
        time_base=TIME_BASE,
        average_rate=decoder.rate,
        colour=colour,
        sample_aspect_ratio=fraction(context.sample_aspect_ratio),
        codec=decoder.codec,
        **{name: value for name, value in signals.items() if name != "has_captions"},
    )
