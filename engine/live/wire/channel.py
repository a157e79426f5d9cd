"""The wire without threads and without a clock of its own: bytes in, a tick, bytes out.

Interface, all times in seconds of one clock that the caller keeps (a real one on air, a simulated
one in tests and measurements):

* `channel = Channel(options, send)`; `send(data)` takes the packets that are to leave now;
* `channel.receive(data, now_s)` with whatever arrived;
* `channel.next_tick_s` is when the next tick is due, None before the first picture;
  `channel.tick(now_s)` then, and `channel.pull(now_s)` at least every 20 ms;
* `channel.set(values)` gives the number of the tick from which the settings hold.

`receive` may run in another thread than `tick`, `pull` and `set`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from math import ceil
from time import perf_counter
from typing import Any

import av

from keeprt.engine.live.budget import Budget
from keeprt.engine.live.captions import insert_captions
from keeprt.engine.live.clock import Clock, local_time, observe
from keeprt.engine.live.loss import Cover
from keeprt.engine.live.options import LiveOptions
from keeprt.engine.live.slots import Kind, Refused, Shown
from keeprt.engine.live.states import Bypass, Facts, State
from keeprt.engine.live.status import Settings
from keeprt.engine.live.ts.demux import Passed
from keeprt.engine.live.ts.psi import PAT_PID
from keeprt.engine.live.wire.air import Held, OnAir, target_of
from keeprt.engine.live.wire.beginning import Beginning
from keeprt.engine.live.wire.intake import Arrived, Intake, Judged
from keeprt.engine.live.wire.meters import Meters
from keeprt.engine.live.wire.pending import Pending
from keeprt.engine.live.wire.pictures import fitted
from keeprt.engine.live.wire.restoring import Restoring
from keeprt.engine.live.wire.standing import Standing

CONNECTED_S = 0.3  # bytes this young: something is received
NO_PICTURE_S = 5.0  # of bytes without one: why is said
GAP_S = 0.5  # after this long a source may have begun again
OTHER_CLOCK_S = 0.05
BEHIND_S = 0.5


class Channel:
    """One stream in, one stream out."""

    def __init__(
        self,
        options: LiveOptions,
        send: Callable[[bytes], None],
        restoring: Restoring | None = None,
    ) -> None:
        self.options, self.meters = options, Meters()
        self.intake, self.clock = Intake(options.programme), Clock()
        self.air: OnAir | None = None
        self.bypass_reason: Bypass | None = None
        self.cover: Cover | None = None  # of a loss, by the last tick
        self.last_tick_s: float | None = None
        self.last_shown: tuple[Held, av.VideoFrame] | None = None
        self.stopping = False
        self._send, self._restoring = send, restoring
        self._lock = threading.RLock()
        self._line, self._versions = 0, 0
        self._beginning = Beginning(options, self.intake, self.meters)
        self._last_bytes_s = self._last_frame_s = float("-inf")
        self._offered = -1  # the last slot that the restorer was given
        self._wondered = False
        self._lost = 0  # ticks since the last fresh picture
        self._pending, self.standing = Pending(options.settings), Standing(self.meters)

    @property
    def budget(self) -> Budget | None:
        """The delay, once it is fixed."""
        return self._beginning.budget

    @property
    def state(self) -> State:
        """What it is doing."""
        return self.standing.state

    @property
    def settings(self) -> Settings:
        """Those that hold."""
        return self._pending.now

    # What arrives.

    def receive(self, data: bytes, now_s: float) -> None:
        """Takes bytes as they arrive."""
        if now_s - self._last_bytes_s > GAP_S:
            with self._lock:
                self._hold()
        self._last_bytes_s = now_s
        self.meters.bytes_in += len(data)
        for event in self.intake.push(data, now_s):
            with self._lock:
                if isinstance(event, Passed):
                    self._passed(event)
                elif isinstance(event, Judged):
                    self._hold()
                else:
                    self._arrived(event)

    def _passed(self, packet: Passed) -> None:
        program = self.intake.demux.program
        if program.versions != self._versions:
            self._versions = program.versions
            if self.air is not None and program.video is not None:
                self.air.splice.retarget(**target_of(program, self.air.encoder))
        if self.air is not None:
            self.air.splice.passed(packet.packet, packet.pid, packet.arrival_s)
        elif packet.pid in (PAT_PID, program.pmt_pid):
            self._beginning.table(packet.pid, packet.packet)

    def _hold(self) -> None:
        if self.air is not None:
            self.air.splice.hold()

    def _arrived(self, one: Arrived) -> None:
        self.meters.frames["in"] += 1
        self.meters.stage("decode", one.decode_s)
        if self.air is None:
            self._beginning.see(one)
        if self._began_again(one):
            self.intake.begin_line()
            self._hold()
            return
        if one.placed.line != self._line:
            self._line, self.clock = one.placed.line, Clock()
            self._hold()
        self.clock = observe(self.clock, one.placed.seconds, one.arrival_s)
        if self.clock.locked:
            late_s = one.arrival_s - local_time(self.clock, one.placed.seconds)
            self.meters.late_ms.see(max(0.0, late_s) * 1e3)
        self._last_frame_s = one.arrival_s
        if self.clock.locked and (self.air is not None or self._begin(one)):
            assert self.air is not None
            self._place(one, self.air)

    def _place(self, one: Arrived, air: OnAir) -> None:
        if one.captions:
            air.captions.take(one.captions)
        frame = fitted(one.frame, air.like)
        slot, joined = air.arrive(one.placed, self.clock, Held(frame, one.arrival_s))
        if joined:
            self.meters.event("info", "time line", "another begins: the source began again")
        if isinstance(slot, Refused):
            self.meters.frames[str(slot)] += 1
        elif self._restoring is not None and self.budget is not None:
            until_s = self.budget.deadline_s(air.slots.due_s(slot))
            self._offered = max(self._offered, slot)
            self._restoring.offer(slot, frame, until_s, self._pending.at(slot))

    def _began_again(self, one: Arrived) -> bool:
        """After a silence: whether the times no longer fit the clock that was running."""
        silent = one.arrival_s - self._last_frame_s
        if not self.clock.locked or silent < GAP_S or one.placed.line != self._line:
            return False
        self._last_frame_s = one.arrival_s
        return abs(one.arrival_s - local_time(self.clock, one.placed.seconds)) > OTHER_CLOCK_S

    def _begin(self, one: Arrived) -> bool:
        air = self._beginning.begin(one, self.clock)
        if air is None:
            return False
        self.air = air
        if air.like.is_interlaced and self.options.interlaced == "bypass":
            self._restoring = None
            why = "nothing is restored: --interlaced frame does"
            self.meters.event("warning", "interlaced", why)
        if self._restoring is not None:
            waiting = ceil(air.slots.delay_s / air.slots.period_s)
            self._restoring.begin(air.like, self._restored, waiting)
        return True

    def _restored(self, slot: int, frame: av.VideoFrame | None) -> None:
        with self._lock:
            held = None if self.air is None else self.air.slots.original(slot)
            if self.air is not None and held is not None:
                picture = held.frame if frame is None else frame
                self.air.slots.restored(slot, Held(picture, held.arrival_s, held.frame))

    # What leaves.

    @property
    def next_tick_s(self) -> float | None:
        """None before the first picture."""
        with self._lock:
            return None if self.air is None else self.air.slots.next_tick_s()

    def tick(self, now_s: float) -> None:
        """One picture goes out, whatever came in."""
        with self._lock:
            air = self.air
            due_s = None if air is None else air.slots.next_tick_s()
            shown = None if air is None else air.slots.tick()
            if air is None or shown is None:
                return
            self._pending.reach(shown.slot)
            if due_s is not None and now_s - due_s > BEHIND_S:
                # An encoder that cannot keep up: pictures are left out, or the delay would grow.
                self.meters.frames["dropped"] += 1
                return
            triplets = air.captions.give()
        frame, label = self._choose(shown, air)
        began = perf_counter()
        encoded = air.encoder.encode(frame, shown.pts)
        spent = perf_counter() - began
        self.meters.stage("encode", spent)
        if encoded is not None:
            data = insert_captions(encoded.data, triplets, air.encoder.kind)
            with self._lock:
                air.splice.video(data, shown.pts, key=encoded.key, now_s=now_s)
        self.pull(now_s)
        self.meters.jitter_ms.see(max(0.0, now_s - (due_s or now_s)) * 1e3)
        if shown.kind is not Kind.REPEAT:
            self.meters.delay_ms.see((now_s + spent - shown.picture.arrival_s) * 1e3)
        self._count(shown, label, now_s)

    def pull(self, now_s: float) -> None:
        """What passes and is due now, and the clock."""
        with self._lock:
            data = b"" if self.air is None else self.air.splice.pull(now_s)
        if data:
            self.meters.bytes_out += len(data)
            self._send(data)
        if self.air is None:
            self.standing.enter(Facts(receiving=self._receiving(now_s)), now_s)
            self._wonder(now_s)

    def _wonder(self, now_s: float) -> None:
        """Once, where bytes come and no picture does."""
        waits = self.state is State.LOCKING and self._beginning.measuring is None
        if waits and not self._wondered and now_s - self.standing.since_s > NO_PICTURE_S:
            self._wondered = True
            self.meters.event("warning", "no picture", self.intake.why_no_picture)

    def _choose(self, shown: Shown[Held], air: OnAir) -> tuple[av.VideoFrame, str]:
        held = shown.picture
        frame = held.as_shown(self.settings.bypass)
        if shown.kind is Kind.REPEAT:
            self._lost += 1
            covered, cover = air.cover(self._lost, frame)
            self.last_shown = (held, covered)
            return covered, str(cover)
        self._lost, self.last_shown = 0, (held, frame)
        return frame, str(Kind.ORIGINAL if self.settings.bypass else shown.kind)

    def _count(self, shown: Shown[Held], label: str, now_s: float) -> None:
        meters = self.meters
        meters.frame = shown.slot
        meters.frames["out"] += 1
        meters.frames[label] += 1
        self.bypass_reason = self._why_original() if label == Kind.ORIGINAL else None
        if self.bypass_reason is not None:
            meters.bypass[str(self.bypass_reason)] += 1
        self.last_tick_s = now_s
        fresh = shown.kind is not Kind.REPEAT
        self.cover = cover = None if fresh else Cover(label)
        receiving = self._receiving(now_s)
        self.standing.enter(
            Facts(True, self.stopping, receiving, fresh, cover, self.bypass_reason), now_s
        )

    def _why_original(self) -> Bypass:
        if self.settings.bypass or self._restoring is None:
            return Bypass.OPERATOR
        return self._restoring.bypass or Bypass.LATE

    def _receiving(self, now_s: float) -> bool:
        return now_s - self._last_bytes_s < CONNECTED_S

    # What it is told.

    def set(self, values: Mapping[str, Any]) -> int:
        """Changes settings; the number of the tick from which they hold. Raises UsageError."""
        with self._lock:
            slot = self._pending.add(values, self._following(), self.next_offered())
            if self.air is None:
                self._pending.reach(slot)
        self.meters.event("info", "command", f"{dict(values)} from picture {slot}")
        return slot

    def next_offered(self) -> int:
        """The first tick that nothing was restored for yet."""
        with self._lock:
            return max(self._following(), self._offered + 1 if self._restoring else 0)

    def _following(self) -> int:
        return 0 if self.air is None else self.air.slots.next_slot
