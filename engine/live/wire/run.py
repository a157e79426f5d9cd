"""The wire on air: one thread receives and decodes, one ticks, encodes and sends.

`run(options)` ends with exit code 0 at the end of what ends, at SIGTERM and when it is told to
stop; 130 at Ctrl-C. Nothing is left of it then: no process, no socket, no shared memory.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from keeprt.engine.errors import KeeprtError, MediaError
from keeprt.engine.live.control.address import listen
from keeprt.engine.live.control.process import ControlProcess
from keeprt.engine.live.options import LiveOptions
from keeprt.engine.live.restoring.link import ProcessRestoring
from keeprt.engine.live.status import Status
from keeprt.engine.live.transports.files import paced
from keeprt.engine.live.transports.opening import Sink, Source, open_sink, open_source
from keeprt.engine.live.wire.channel import Channel
from keeprt.engine.live.wire.desk import Desk
from keeprt.engine.live.wire.report import status
from keeprt.engine.live.wire.restoring import Restoring
from keeprt.engine.media.errors import redact

READ_S = 0.05
PULL_S = 0.01  # the clock is to be told every 20 ms
SWITCH_S = 0.0005  # between threads: a tick must not wait for a decoder's Python
DRAIN_S = 0.1


class Wire:
    """A channel with its source, its sink and its threads."""

    def __init__(
        self,
        options: LiveOptions,
        source: Source,
        sink: Sink,
        restoring: Restoring | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.channel = Channel(options, sink.send, restoring)
        self.source, self.sink = source, sink
        self._say, self._said = say, 0
        self._stopping = threading.Event()
        self._ended = False
        self.desk: Desk | None = None

    def stop(self) -> None:
        """From any thread or signal."""
        self._stopping.set()

    @property
    def ended_without_a_picture(self) -> bool:
        """Whether a file or a pipe is over and nothing of it could be sent."""
        return self._ended and self.channel.air is None

    def run(self) -> None:
        """Until it is stopped, or its source has ended and all of it is sent."""
        if not self.source.is_live:
            self._simulate()
            return
        receiver = threading.Thread(target=self._receive, name="receive", daemon=True)
        receiver.start()
        try:
            while not self._stopping.is_set():
                self._turn()
        finally:
            self._stopping.set()
            self.channel.stopping = True
            receiver.join(READ_S * 4)

    def _receive(self) -> None:
        while not self._stopping.is_set():
            data = self.source.read(READ_S)
            if data is None:
                continue
            if not data:
                break
            try:
                self.channel.receive(data, time.monotonic())
            except Exception as error:  # whatever comes in, the output goes on
                self.channel.meters.frames["failed"] += 1
                self.channel.meters.event("error", "receive", repr(error))
        self._ended = True

    def _turn(self) -> None:
        now_s = time.monotonic()
        due_s = self.channel.next_tick_s
        if due_s is not None and now_s >= due_s:
            if self._is_done():
                self.stop()
                return
            self.channel.tick(now_s)
        else:
            self.channel.pull(now_s)
            if self._ended and due_s is None:
                self.stop()
        self._talk(now_s)
        due_s = self.channel.next_tick_s
        now_s = time.monotonic()
        wait_s = PULL_S if due_s is None else min(PULL_S, due_s - now_s)
        if wait_s > 0:
            time.sleep(wait_s)

    def _talk(self, now_s: float) -> None:
        try:
            if self.desk is not None:
                self.desk.turn(now_s)
            self._tell()
        except Exception as error:  # the programme does not need whoever looks on
            self.channel.meters.event("error", "control", repr(error))

    def _is_done(self) -> bool:
        air = self.channel.air
        return self._ended and air is not None and not air.slots.waiting and not air.splice.waiting

    def _simulate(self) -> None:
        """A file as fast as it is read, in the time that its own clock tells."""
        channel, now_s = self.channel, 0.0
        for due_s, data in paced(lambda: self.source.read(0) or b""):
            if self._stopping.is_set():
                return
            now_s = due_s
            self._catch_up(now_s)
            channel.receive(data, now_s)
        self._ended = True
        while not self._stopping.is_set() and channel.air is not None and not self._all_sent():
            self._catch_up(now_s := now_s + PULL_S)

    def _all_sent(self) -> bool:
        self._ended = True
        return self._is_done()

    def _catch_up(self, now_s: float) -> None:
        while (due_s := self.channel.next_tick_s) is not None and due_s <= now_s:
            if self._is_done():
                return
            self.channel.tick(due_s)
        self.channel.pull(now_s)
        self._tell()

    def _tell(self) -> None:
        for one in list(self.channel.meters.events):  # another thread adds to them
            if one.number > self._said:
                self._said = one.number
                self._say(f"{one.level}: {one.name}: {one.text}")


def run(
    options: LiveOptions,
    *,
    quiet: bool = False,
    json_file: str | None = None,
    restorer: list[str] | None = None,
) -> int:
    """A whole channel in this process; its exit code. Raises KeeprtError before it is on air.

    `restorer`: the command of another restorer's process, see `restoring.messages`.
    """
    sys.setswitchinterval(SWITCH_S)
    codes: list[int] = []
    with contextlib.ExitStack() as opened:
        source = open_source(options.source)
        opened.callback(source.close)
        sink = open_sink(options.sink)
        opened.callback(sink.close)
        restoring = None
        if options.bundle is not None or restorer:
            restoring = ProcessRestoring(options, restorer)
            opened.callback(restoring.close)
        control = _control(options)
        if control is not None:
            opened.callback(control.close)
        wire = Wire(options, source, sink, restoring, (lambda text: None) if quiet else _say)
        meters = wire.channel.meters
        if restoring is not None:
            restoring.tell, restoring.stage = meters.event, meters.stage

        def now() -> Status:
            return status(wire.channel, time.monotonic(), source, sink, restoring)

        wire.desk = Desk(wire.channel, now, wire.stop, control, restoring)
        opened.enter_context(_signals(wire, codes))
        gc.freeze()
        where = "" if control is None else f"; the page is at {control.url}"
        meters.event("info", "started", f"waiting for {redact(options.source)}{where}")
        wire.run()
        last = now()
    if json_file is not None:
        _write(json_file, json.dumps(asdict(last), indent=1))
    if wire.ended_without_a_picture and not codes:
        why = wire.channel.intake.why_no_picture
        raise MediaError(f"{redact(options.source)} ended before a picture was on air: {why}")
    return codes[0] if codes else 0


def _control(options: LiveOptions) -> ControlProcess | None:
    listening = listen(options.control, options.token_file or None)
    if listening is None:
        return None
    return ControlProcess(listening, options.token_file or None, preview=options.preview)


@contextlib.contextmanager
def _signals(wire: Wire, codes: list[int]) -> Iterator[None]:
    """The first one ends the channel, in its own time; another, if that takes long, at once."""

    def ends(number: int, frame: FrameType | None) -> None:
        if codes:
            os._exit(128 + number)
        codes.append(128 + number if number == signal.SIGINT else 0)
        wire.stop()

    before = {n: signal.signal(n, ends) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"keeprt live: {text}", file=sys.stderr, flush=True)


def _write(path: str, text: str) -> None:
    if path == "-":
        print(text, flush=True)
    else:
        Path(path).write_text(text + "\n", encoding="utf-8")


def main() -> int:
    """`python -m keeprt.engine.live.wire OPTIONS QUIET JSON_FILE`."""
    options = LiveOptions.read(sys.argv[1])
    quiet, json_file = sys.argv[2] == "quiet", sys.argv[3] or None
    try:
        return run(options, quiet=quiet, json_file=json_file)
    except KeeprtError as error:
        _say(f"error: {error}")
        return 2
