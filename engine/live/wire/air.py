"""What there is from the first picture on: slots, encoder, splice, captions, covers of a loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from time import perf_counter
from typing import Any

import av

from keeprt.engine.live import budget
from keeprt.engine.live.captions import CaptionQueue
from keeprt.engine.live.clock import Clock, source_time
from keeprt.engine.live.loss import Cover, Ladder
from keeprt.engine.live.options import LiveOptions
from keeprt.engine.live.slots import Refused, Slots
from keeprt.engine.live.timeline import TICKS_PER_S, Placed, next_to
from keeprt.engine.live.ts.psi import Program
from keeprt.engine.live.ts.splice import Splice
from keeprt.engine.live.wire.encoding import STREAM_TYPES, Encoder, Wanted
from keeprt.engine.live.wire.intake import Arrived
from keeprt.engine.live.wire.pictures import black, load_slate
from keeprt.engine.media.info import VideoInfo

LEAST_LEAD_S, MOST_LEAD_S, USUAL_LEAD_S = 0.08, 10.0, 0.5
AHEAD_S = 1.0  # how far ahead of its tick a picture may come


@dataclass(eq=False)
class Held:
    """A picture on its way. `frame` is shown; `original` where that is a restored one."""

    frame: av.VideoFrame
    arrival_s: float
    original: av.VideoFrame | None = None

    @property
    def original_frame(self) -> av.VideoFrame:
        """As it came."""
        return self.frame if self.original is None else self.original

    def as_shown(self, bypass: bool) -> av.VideoFrame:
        """The original where nothing is to be restored."""
        return self.original_frame if bypass else self.frame


class OnAir:
    """`lead_s`: how much later pictures are shown, by their times, than the clock beside them."""

    def __init__(
        self,
        like: VideoInfo,
        encoder: Encoder,
        program: Program,
        ladder: Ladder,
        delay_s: float,
        lead_s: float,
    ) -> None:
        self.like, self.encoder, self.ladder, self.lead_s = like, encoder, ladder, lead_s
        rate = encoder.wanted.rate
        ahead = ceil((delay_s + AHEAD_S) * rate) + 1
        self.slots: Slots[Held] = Slots(1 / rate, delay_s, ahead)
        self.captions = CaptionQueue(1 / rate)
        target = target_of(program, encoder)
        pids = target.pop("video_pid"), target.pop("pcr_pid")
        self.splice = Splice(*pids, delay_s, self._pcr, **target)
        self._black = black(like)
        slate = next((rung.path for rung in ladder.rungs if rung.cover is Cover.SLATE), None)
        self.sound_ms: float | None = None  # how much more it is moved than the last picture was
        self._slate = None if slate is None else load_slate(slate, like)

    def arrive(self, placed: Placed, clock: Clock, held: Held) -> tuple[int | Refused, bool]:
        """The slot of a picture, or why it has none; and whether a time line begins with it."""
        joins = self.slots.counts["joins"]
        slot = self.slots.arrive(placed, clock, held)
        joined = self.slots.counts["joins"] != joins
        if joined or self.splice.held:
            self.splice.join(self.slots.shift)
        if not isinstance(slot, Refused):
            later = self.splice.shift - (self.slots.pts(slot) - placed.ticks)
            self.sound_ms = later * 1e3 / TICKS_PER_S
        return slot, joined

    def cover(self, lost: int, last: av.VideoFrame) -> tuple[av.VideoFrame, Cover]:
        """What is shown in the tick number `lost` without a picture, and what that is."""
        rung = self.ladder.shown(lost * float(self.slots.period_s))
        if rung.cover is Cover.SLATE and self._slate is not None:
            return self._slate, rung.cover
        return (self._black if rung.cover is Cover.BLACK else last), rung.cover

    def _pcr(self, now_s: float) -> int:
        """A constant before the pictures' times, whatever becomes of the source's clock."""
        due = self.slots.next_tick_s()
        assert due is not None
        next_pts = self.slots.pts(self.slots.next_slot)
        return round((next_pts + (now_s - due - self.lead_s) * TICKS_PER_S) * 300)


def target_of(program: Program, encoder: Encoder) -> dict[str, Any]:
    """Where our pictures go, as `Splice` takes it."""
    video = program.video
    assert video is not None
    ours = STREAM_TYPES[encoder.kind]
    return {
        "video_pid": video.pid,
        "pcr_pid": program.pcr_pid or video.pid,
        "pmt_pid": program.pmt_pid,
        "stream_type": None if video.stream_type == ours else ours,
    }


def new_encoder(options: LiveOptions, like: VideoInfo, rate: Fraction) -> Encoder:
    """As it was asked for."""
    return Encoder(Wanted(like, rate, options.codec, options.bitrate, options.preset))


def lead_s(clock: Clock, clocks: Sequence[tuple[int, float]], ticks: int) -> float:
    """How much later pictures are shown, by their times, than the clock that comes with them.

    clocks: PCRs in 90 kHz, and when each arrived; ticks: the time of a picture near them.
    """
    leads = (source_time(clock, at) - next_to(ticks, pcr) / TICKS_PER_S for pcr, at in clocks)
    least = min(leads, default=USUAL_LEAD_S)
    return max(LEAST_LEAD_S, least) if least < MOST_LEAD_S else USUAL_LEAD_S


class Measuring:
    """Ten seconds of a stream before its delay is fixed: `--delay auto`."""

    def __init__(self, encoder: Callable[[], Encoder]) -> None:
        self.encoder: Encoder | None = None
        self.new = encoder
        self.processing_s: list[float] = []
        self._began_s: float | None = None
        self._jitter: list[float] = []
        self._decode: list[float] = []
        self._encode: list[float] = []

    def done(self, now_s: float) -> bool:
        """Whether it was measured for long enough."""
        if self._began_s is None:
            self._began_s = now_s
        return now_s - self._began_s >= budget.AUTO_MEASURES_S

    def see(self, late_s: float, one: Arrived) -> None:
        """A frame that came `late_s` after the least delay; encoded for the time that it takes."""
        if self.encoder is None:
            self.encoder = self.new()
        began = perf_counter()
        self.encoder.encode(one.frame, one.placed.ticks)
        self._encode.append(perf_counter() - began)
        self._jitter.append(max(0.0, late_s))
        self._decode.append(one.decode_s)

    def samples(self, reorder_frames: int) -> budget.Samples:
        """What was seen: nothing where the delay was given."""
        return budget.Samples(
            self._jitter, self._decode, self.processing_s, self._encode, reorder_frames
        )
