"""SRT, RIST and RTMP by child programs, which speak UDP with us on the loopback.

Options are those of the programs, but for `latency` (milliseconds) and `mode` of SRT (caller or
listener). A program is started again, after a pause, when it ends, and of RTMP's when no byte has
come for two seconds: a library that hangs in a read can only be killed. Install `srt-tools`,
`rist-tools`, `ffmpeg`. RTMP's two programs add what their muxers hold to the declared delay.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from keeprt.engine.errors import MediaError
from keeprt.engine.live.transports.addresses import Address, parse_address
from keeprt.engine.live.transports.srt_stats import REPORTED, SrtStats
from keeprt.engine.live.transports.udp import DATAGRAM, UdpSink, UdpSource

LOOPBACK = "127.0.0.1"
PACKAGES = {
    "srt-live-transmit": "srt-tools",
    "ristsender": "rist-tools",
    "ristreceiver": "rist-tools",
    "ffmpeg": "ffmpeg",
}
OWN = ("latency", "mode")
FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S = 0.25, 2.0, 10.0
SILENT_S = 2.0
ENDING_S = 0.5
KEEP_S = 0.1


def srt_command(address: Address, port: int) -> list[str]:
    """Either way, between `address` and our UDP port."""
    latency, mode = address.option("latency", 120), address.option("mode", "")
    default = "listener" if address.host in ("", "0.0.0.0") else "caller"
    others = [f"{name}={value}" for name, value in address.options.items() if name not in OWN]
    query = "&".join([f"mode={mode or default}", f"latency={latency}", *others])
    theirs = f"srt://{address.host}:{address.port}?{query}"
    ours = f"udp://{LOOPBACK}:{port}"
    ends = [theirs, ours] if address.role == "SRC" else [ours, theirs]
    quiet = ["-q", "-loglevel:fatal", *REPORTED]
    return ["srt-live-transmit", *quiet, f"-chunk:{DATAGRAM}", *ends]


def rist_command(address: Address, port: int) -> list[str]:
    """Either way, between `address` and our UDP port."""
    latency = address.option("latency", 200)
    rest = (f"&{name}={value}" for name, value in address.options.items() if name not in OWN)
    others = "".join(rest)
    at = "@" if address.role == "SRC" else ""
    theirs = f"rist://{at}{address.host or '0.0.0.0'}:{address.port}?buffer={latency}{others}"
    if address.role == "SRC":
        return ["ristreceiver", "-v", "3", "-i", theirs, "-o", f"udp://{LOOPBACK}:{port}"]
    return ["ristsender", "-v", "3", "-i", f"udp://@{LOOPBACK}:{port}", "-o", theirs]


def rtmp_command(address: Address, port: int) -> list[str]:
    """Either way, between `address` and our UDP port; nothing is coded anew."""
    quick = ["-fflags", "nobuffer", "-probesize", "500000", "-analyzeduration", "500000"]
    ours = f"udp://{LOOPBACK}:{port}?pkt_size={DATAGRAM}"
    begin = ["ffmpeg", "-nostdin", "-v", "error", *quick]
    if address.role == "SRC":
        # Without a picture it ends, and is started again: sound alone may have come first.
        copied = ["-map", "0:v", "-map", "0:a?", "-c", "copy"]
        copied += ["-muxdelay", "0", "-flush_packets", "1"]
        return [*begin, "-i", address.text, *copied, "-f", "mpegts", ours]
    copied = ["-map", "0:v", "-map", "0:a?", "-c", "copy", "-flvflags", "no_duration_filesize"]
    return [*begin, "-f", "mpegts", "-i", ours, *copied, "-f", "flv", address.text]


COMMANDS: dict[str, Callable[[Address, int], list[str]]] = {
    "srt": srt_command,
    "rist": rist_command,
    "rtmp": rtmp_command,
}


def next_pause_s(pause_s: float, lasted_s: float) -> float:
    """Seconds until a program that ended after `lasted_s` is started again; `pause_s`: the last."""
    return FIRST_PAUSE_S if lasted_s > STEADY_S else min(LONGEST_PAUSE_S, 2 * pause_s)


@dataclass
class Kept:
    """A program that is started again when it ends; `close` ends it."""

    command: list[str]
    stats: SrtStats | None = None  # of a program that says what it counts
    restarts: int = 0
    _pause_s: float = FIRST_PAUSE_S
    _closing: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        name = self.command[0]
        if shutil.which(name) is None:
            raise MediaError(f"the program {name} is not here: apt install {PACKAGES[name]}")
        self._process = self._start()
        self._thread = threading.Thread(target=self._keep, name=name, daemon=True)
        self._thread.start()

    @property
    def counted(self) -> dict[str, float]:
        """What it says of its line."""
        return {} if self.stats is None else dict(self.stats.values)

    def kill(self) -> None:
        """It hangs; another one is started."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def close(self) -> None:
        """Nothing is left of it."""
        self._closing.set()
        self._thread.join(2)
        self._end()

    def _keep(self) -> None:
        began_s = time.monotonic()
        while not self._closing.wait(KEEP_S):
            self._listen()
            if self._process.poll() is None:
                continue
            self._pause_s = next_pause_s(self._pause_s, time.monotonic() - began_s)
            if self._closing.wait(self._pause_s):
                return
            began_s, self.restarts = time.monotonic(), self.restarts + 1
            self._let_go()
            self._process = self._start()

    def _listen(self) -> None:
        """Nobody else reads its pipe, and a full one would stop it."""
        if self.stats is None or self._process.stdout is None:
            return
        with contextlib.suppress(OSError):
            while data := os.read(self._process.stdout.fileno(), 1 << 16):
                self.stats.push(data)

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*_dying_with_us(), *self.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if self.stats is None else subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is the wire's: what is on its way is sent first
        )
        if process.stdout is not None:
            os.set_blocking(process.stdout.fileno(), False)
        return process

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._let_go()

    def _let_go(self) -> None:
        if self._process.stdout is not None:
            self._process.stdout.close()


def _dying_with_us() -> list[str]:
    """A wire that is killed leaves no program behind, where util-linux is."""
    found = shutil.which("setpriv")
    return [found, "--pdeathsig", "KILL"] if found else []


class ProgramSource:
    """What a program receives."""

    is_live = True

    def __init__(self, address: Address) -> None:
        self._watched, self._heard_s = address.scheme == "rtmp", 0.0
        port = _free_port()
        self._udp = UdpSource(parse_address(f"udp://{LOOPBACK}:{port}", "SRC"))
        try:
            stats = SrtStats("recv") if address.scheme == "srt" else None
            self._program = Kept(COMMANDS[address.scheme](address, port), stats)
        except MediaError:
            self._udp.close()
            raise

    @property
    def reconnects(self) -> int:
        """See `Source`."""
        return self._program.restarts

    def read(self, timeout_s: float) -> bytes | None:
        """See `Source`."""
        data = self._udp.read(timeout_s)
        now_s = time.monotonic()
        if data:
            self._heard_s = now_s
        elif self._watched and self._heard_s and now_s - self._heard_s > SILENT_S:
            self._heard_s = 0.0
            self._program.kill()
        return data

    def stats(self) -> dict[str, float]:
        """See `Source`."""
        return self._program.counted

    def close(self) -> None:
        """See `Source`."""
        self._program.close()
        self._udp.close()


class ProgramSink:
    """What a program sends."""

    waiting = 0

    def __init__(self, address: Address) -> None:
        port = _free_port()
        stats = SrtStats("send") if address.scheme == "srt" else None
        self._program = Kept(COMMANDS[address.scheme](address, port), stats)
        self._udp = UdpSink(parse_address(f"udp://{LOOPBACK}:{port}", "DST"))

    @property
    def counts(self) -> Counter[str]:
        """See `Sink`."""
        return self._udp.counts

    @property
    def reconnects(self) -> int:
        """See `Sink`."""
        return self._program.restarts

    def send(self, data: bytes) -> None:
        """See `Sink`."""
        self._udp.send(data)

    def stats(self) -> dict[str, float]:
        """See `Sink`."""
        return self._program.counted

    def close(self) -> None:
        """See `Sink`."""
        self._udp.close()
        self._program.close()


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
