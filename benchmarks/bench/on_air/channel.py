"""One channel of `--scenario live`, in a process of its own as on air.

`python -m keeprt.benchmarks.bench.on_air.channel OPTIONS FIRST COUNT` warms its restorer and prints
`ready`; it reads the second of the monotonic clock at which its file is to begin, and prints as
JSON what the ticks from number FIRST on showed, COUNT of them: a `Counted`, or why there is none.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil

from keeprt.engine.errors import KeeprtError, MediaError
from keeprt.engine.live.loss import Cover
from keeprt.engine.live.options import LiveOptions
from keeprt.engine.live.restoring.child import WARMS_S
from keeprt.engine.live.restoring.link import ProcessRestoring
from keeprt.engine.live.slots import Kind
from keeprt.engine.live.transports.addresses import parse_address
from keeprt.engine.live.transports.opening import open_sink, open_source
from keeprt.engine.live.wire.channel import Channel
from keeprt.engine.live.wire.intake import Arrived, Intake, describe
from keeprt.engine.live.wire.meters import memory_bytes
from keeprt.engine.live.wire.run import SWITCH_S, Wire

POLL_S = 0.005
#: What a tick may have shown, and a tick that was left out.
TICKS = tuple(dict.fromkeys([*map(str, Kind), *map(str, Cover), "dropped"]))


@dataclass(frozen=True)
class Counted:
    """Of one stream. shown: ticks by what they showed; originals: of these by reason. painted: how
    often a face was, from the first picture on. Times in milliseconds: from a picture's arrival to
    its sending, and how late ticks were."""

    shown: Mapping[str, int]
    originals: Mapping[str, int]
    painted: int
    delay_p50_ms: float
    delay_p99_ms: float
    jitter_p99_ms: float
    wire_bytes: int
    restorer_bytes: int

    @property
    def ticks(self) -> int:
        """All of them."""
        return sum(self.shown.values())

    @property
    def missed(self) -> int:
        """Ticks without their restored picture."""
        return self.ticks - self.shown.get(Kind.RESTORED, 0)


def main() -> int:
    """See the module."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run hears it, and ends this one
    sys.setswitchinterval(SWITCH_S)
    options, (first, count) = LiveOptions.read(sys.argv[1]), map(int, sys.argv[2:4])
    try:
        counted = on_air(options, first, count)
    except KeeprtError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 2
    print(json.dumps(asdict(counted)), flush=True)
    return 0


def on_air(options: LiveOptions, first: int, count: int) -> Counted:
    """The whole of it. Raises KeeprtError."""
    with contextlib.ExitStack() as opened:
        source = open_source(options.source)
        opened.callback(source.close)
        sink = open_sink(options.sink)
        opened.callback(sink.close)
        restoring = ProcessRestoring(options)
        opened.callback(restoring.close)
        warm(restoring, options)
        wire = Wire(options, source, sink, restoring)
        restoring.stage = wire.channel.meters.stage
        print("ready", flush=True)
        told = sys.stdin.readline()
        if not told:
            raise MediaError("nobody says when to begin")
        found: list[Counted] = []
        look = (wire, restoring, first, count, found)
        watching = threading.Thread(target=_watch, args=look, daemon=True)
        time.sleep(max(0.0, float(told) - time.monotonic()))
        watching.start()
        wire.run()
        watching.join(1)
    if not found:
        raise MediaError(f"the stream ended at tick {wire.channel.meters.frame}")
    return found[0]


def warm(restoring: ProcessRestoring, options: LiveOptions) -> None:
    """Starts the restorer for the pictures of the file, and waits. Raises KeeprtError."""
    path, intake = parse_address(options.source, "SRC").path, Intake()
    with open(path, "rb") as file:  # noqa: PTH123
        arrived = intake.push(file.read(), 0.0)
        frame = next(one for one in arrived if isinstance(one, Arrived)).frame
    assert intake.decoder is not None
    like = describe(frame, intake.decoder)
    asked, rate = options.asked_delay, float(intake.decoder.rate or 25)
    waiting = asked.frames or ceil((asked.delay_s or 0.0) * rate)
    restoring.begin(like, lambda slot, frame: None, waiting)
    until_s = time.monotonic() + WARMS_S
    while restoring.bypass is not None:
        if restoring.restarts or time.monotonic() > until_s:
            raise MediaError(f"no restorer: {restoring.last_reason or 'not warm in time'}")
        time.sleep(POLL_S)


def _watch(
    wire: Wire, restoring: ProcessRestoring, first: int, count: int, found: list[Counted]
) -> None:
    channel = wire.channel
    _reach(channel, first)
    shown, originals, _ = _seen(channel)
    _reach(channel, first + count)
    last = _seen(channel)
    delay, jitter = channel.meters.delay_ms.quantiles, channel.meters.jitter_ms.quantiles
    found.append(
        Counted(
            dict(last[0] - shown),
            dict(last[1] - originals),
            last[2],
            delay.median,
            delay.p99,
            jitter.p99,
            memory_bytes(),
            restoring.worker.memory_bytes,
        )
    )
    wire.stop()


def _reach(channel: Channel, tick: int) -> None:
    while channel.meters.frame < tick:
        time.sleep(POLL_S)


def _seen(channel: Channel) -> tuple[Counter[str], Counter[str], int]:
    meters = channel.meters
    shown = Counter({kind: meters.frames[kind] for kind in TICKS})
    paint = meters.stages.get("paint")
    return shown, Counter(meters.bypass), sum(paint.histogram.counts) if paint else 0


if __name__ == "__main__":
    sys.exit(main())
