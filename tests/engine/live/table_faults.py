"""What was seen on air at each fault: pictures by kind, gaps, and the time until all was well."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil

from tests.engine.live.clients import (
    HOST,
    Running,
    Tap,
    channel,
    free_port,
    rtmp_server,
    sender,
)
from tests.engine.live.table_delays import TICKS, running

PLAIN = ("--bypass", "--control", "off")
ALWAYS = ("--delay", "200ms", "--preset", "ultrafast", "--on-loss", "repeat=500ms,black")
SETTLES_S, AWAY_S = 6.0, 3.0
ON_AIR, RESTORED = "to bypassing", "to live"
#: Does it to a channel that listens at a port; when it was over, if it ever is.
Do = Callable[[Running, int], "float | None"]


@dataclass(frozen=True)
class Fault:
    """`returns`: the event that says that all is well again."""

    name: str
    do: Do
    options: tuple[str, ...] = PLAIN
    source: str = "udp://127.0.0.1:{port}"
    returns: str = ON_AIR


class Relay:
    """UDP in, UDP out, with a fault between; `keep` says of each packet of 188 bytes how often."""

    def __init__(self, to: int, keep: Callable[[], int]) -> None:
        self.port = free_port()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, self.port))
        self._socket.settimeout(0.1)
        self._to, self._keep, self._stopped = to, keep, False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._stopped:
            with contextlib.suppress(TimeoutError, OSError):
                data = self._socket.recv(65536)
                packets = [data[i : i + 188] for i in range(0, len(data), 188)]
                kept = b"".join(packet * self._keep() for packet in packets)
                self._socket.sendto(kept, (HOST, self._to))


def comes_back(live: Running, since_s: float, what: str) -> None:
    """Waits for it, and for some pictures more."""
    live.wait_after(what, since_s, 90)
    time.sleep(AWAY_S)


def source_dies(**again: object) -> Do:
    """kill -9, three seconds of nothing, then again, with other times or another size."""

    def do(live: Running, into: int) -> float:
        with sender(into) as first:
            time.sleep(SETTLES_S)
            first.kill()
            first.wait()
        time.sleep(AWAY_S)
        with sender(into, **again):  # type: ignore[arg-type]
            back_s = time.monotonic()
            comes_back(live, back_s, ON_AIR)
        return back_s

    return do


def srt_dies(live: Running, into: int) -> float:
    """kill -9 of what sends by SRT, and of its source."""
    for last in (False, True):
        port = free_port()
        command = ["srt-live-transmit", "-q", f"udp://{HOST}:{port}"]
        with running([*command, f"srt://{HOST}:{into}?latency=80"]), sender(port):
            back_s = time.monotonic()
            if last:
                comes_back(live, back_s, ON_AIR)
            else:
                live.wait(ON_AIR)
                time.sleep(AWAY_S)
        time.sleep(0 if last else AWAY_S)
    return back_s


def packets(keep: Callable[[], int]) -> Do:
    """Through a relay that drops or doubles packets."""

    def do(live: Running, into: int) -> None:
        with Relay(into, keep) as relay, sender(relay.port):
            time.sleep(SETTLES_S + AWAY_S)

    return do


def child_gets(module: str, number: int, waits: str, returns: str) -> Do:
    """A signal to a process beside the wire; `waits`: what is said before."""

    def do(live: Running, into: int) -> float | None:
        with sender(into):
            live.wait(waits, 90)
            time.sleep(AWAY_S)
            for one in psutil.Process(live.process.pid).children():
                if module in " ".join(one.cmdline()):
                    os.kill(one.pid, number)
            since_s = time.monotonic()
            comes_back(live, since_s, returns or "control")
        return since_s if returns else None

    return do


def all_faults(bundle: str | None) -> Iterator[Fault]:
    """What is done, and to which channel."""
    seeded = random.Random(3)
    yield Fault("source killed for 3 s, times begin again at 0", source_dies())
    yield Fault("source killed for 3 s, times a day later", source_dies(begins_s=80_000))
    yield Fault("source killed for 3 s, another size", source_dies(size="320x240"))
    srt = "srt://:{port}?mode=listener&latency=80"
    yield Fault("SRT: source and its program killed for 3 s", srt_dies, source=srt)
    for share in (0.001, 0.01, 0.05):
        lost = packets(lambda share=share: int(seeded.random() > share))  # type: ignore[misc]
        yield Fault(f"{share:.1%} of packets lost", lost)
    doubled = packets(lambda: 1 + int(seeded.random() < 0.01))
    yield Fault("1 % of packets doubled", doubled)
    control = child_gets("keeprt.engine.live.control", signal.SIGKILL, ON_AIR, "")
    page = ("--bypass", "--control", f"{HOST}:{free_port()}")
    yield Fault("control process killed", control, page)
    if bundle:
        restores = ("--bundle", bundle, "--control", "off")
        for name, number in (("killed", signal.SIGKILL), ("hangs", signal.SIGSTOP)):
            do = child_gets("keeprt.engine.live.restoring", number, RESTORED, "ready, process")
            yield Fault(f"restorer {name}", do, restores, returns="ready, process")


def row(fault: Fault) -> str:
    """A line of the table."""
    into = free_port()
    with Tap(keeps=False) as after:
        ends = fault.source.format(port=into), f"udp://{HOST}:{after.port}"
        with channel(*ends, *ALWAYS, *fault.options) as live:
            live.wait("started")
            since_s = fault.do(live, into)
            back_s = None if since_s is None else live.wait_after(fault.returns, since_s)
            code, _ = live.ends(signal.SIGTERM)
            status = live.status
        missing = sum(step // TICKS - 1 for step in after.steps)
        longest_ms = after.longest_gap_s * 1e3
    shown, errors = status["frames"], status["ts_errors"]
    returned = "" if back_s is None or since_s is None else f"{back_s - since_s:.1f}"
    cells = [
        fault.name,
        f"{shown.get('out', 0)}",
        *(f"{shown.get(kind, 0)}" for kind in ("restored", "original", "repeat", "black")),
        f"{missing}",
        f"{longest_ms:.0f}",
        returned,
        ", ".join(f"{count} {kind}" for kind, count in sorted(errors.items())) or "none",
        f"{code}",
    ]
    return f"| {' | '.join(cells)} |"


HEAD = (
    "| fault | out | restored | original | repeated | black | missing | longest gap ms "
    "| well again after s | errors counted | exit code |"
)


def faults(bundle: str | None) -> Iterator[str]:
    """The table, a line as soon as it was seen."""
    yield HEAD
    yield "| --- " * HEAD.count(" | ") + "| --- |"
    for fault in all_faults(bundle):
        yield row(fault)
    yield rtmp_sink_row()


def rtmp_sink_row() -> str:
    """The server that is sent to, killed for ten seconds."""
    port, into = free_port(), free_port()
    ends = f"udp://{HOST}:{into}", f"rtmp://{HOST}:{port}/live/out"
    with channel(*ends, *ALWAYS, *PLAIN) as live, sender(into):
        with rtmp_server(port):
            live.wait(ON_AIR)
            time.sleep(SETTLES_S)
        time.sleep(10)
        with rtmp_server(port):
            time.sleep(SETTLES_S)
            code, _ = live.ends(signal.SIGTERM)
        status = live.status
    shown, again = status["frames"], status["reconnects"]["sink"]
    kinds = (f"{shown.get(kind, 0)}" for kind in ("restored", "original", "repeat", "black"))
    cells = ["RTMP: the sink's server killed for 10 s", f"{shown['out']}", *kinds]
    cells += ["", "", "", f"none; the sink's program started {again} times again", f"{code}"]
    return f"| {' | '.join(cells)} |"
