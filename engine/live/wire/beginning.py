"""From the first bytes to the first picture: rate, delay, what the output's clock and tables are.

Interface: `beginning.see(one)` and `beginning.table(pid, packet)` for what comes before;
`beginning.begin(one, clock)` for each frame once the clock is locked gives what is on air, None
while `--delay auto` still measures; `beginning.budget` is the delay then.
"""

from __future__ import annotations

from keeprt.engine.live import budget
from keeprt.engine.live.clock import Clock, local_time
from keeprt.engine.live.options import LiveOptions
from keeprt.engine.live.wire.air import Measuring, OnAir, lead_s, new_encoder
from keeprt.engine.live.wire.intake import Arrived, Intake, Rate, describe
from keeprt.engine.live.wire.meters import Meters

KEPT_CLOCKS = 64
BEFORE_S = 0.001


class Beginning:
    """One channel's."""

    def __init__(self, options: LiveOptions, intake: Intake, meters: Meters) -> None:
        self.budget: budget.Budget | None = None
        self.measuring: Measuring | None = None
        self._options, self._intake, self._meters = options, intake, meters
        self._rate = Rate()
        self._clocks: list[tuple[int, float]] = []  # PCR in 90 kHz, and when it arrived
        self._tables: dict[int, bytes] = {}

    def see(self, one: Arrived) -> None:
        """A frame, and the clock that came with it."""
        self._rate.see(one.placed.ticks)
        demux = self._intake.demux
        if demux.clock_pcr is not None:
            seen = (demux.clock_pcr // 300, demux.clock_s)
            if not self._clocks or self._clocks[-1] != seen:
                self._clocks.append(seen)
            del self._clocks[:-KEPT_CLOCKS]

    def table(self, pid: int, packet: bytes) -> None:
        """The last PAT and PMT: whoever looks on from the first picture must know what it is."""
        self._tables[pid] = packet

    def begin(self, one: Arrived, clock: Clock) -> OnAir | None:
        """See the module. Raises KeeprtError where the output cannot be opened."""
        decoder, options = self._intake.decoder, self._options
        assert decoder is not None
        rate = options.asked_rate or self._rate.estimate(decoder.rate)
        like = describe(one.frame, decoder)
        if self.measuring is None:
            self.measuring = Measuring(lambda: new_encoder(options, like, rate))
        asked, measuring = options.asked_delay, self.measuring
        if asked.auto and not measuring.done(one.arrival_s):
            measuring.see(one.arrival_s - local_time(clock, one.placed.seconds), one)
            return None
        period_s = float(1 / rate)
        parts = budget.measured(measuring.samples(decoder.reorder_frames), period_s)
        self.budget = budget.declare(asked, parts, period_s)
        encoder, delay_s = measuring.encoder or measuring.new(), self.budget.delay_s
        lead = lead_s(clock, self._clocks, one.placed.ticks)
        program = self._intake.demux.program
        air = OnAir(like, encoder, program, options.ladder, delay_s, lead)
        for pid, packet in sorted(self._tables.items()):
            air.splice.passed(packet, pid, local_time(clock, one.placed.seconds) - BEFORE_S)
        what = f"{like.width}x{like.height} {like.pixel_format}, {rate} frames a second"
        self._meters.event("info", "on air", f"{what}; delay {self.budget}")
        for loss in encoder.losses:
            self._meters.event("warning", "not kept", loss)
        return air
