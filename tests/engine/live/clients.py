"""Real clients of a channel on the loopback: Debian's ffmpeg at both ends, and taps between."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from keeprt.engine.live.timeline import next_to
from keeprt.engine.live.ts.demux import AccessUnit, Demux

NEEDS_FFMPEG = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="needs the program ffmpeg (apt-get install ffmpeg)"
)
HOST = "127.0.0.1"


def free_port() -> int:
    """A port that nobody listens at just now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@dataclass
class Tap:
    """Receives a stream, takes it apart, and may send it on. `pictures`: PTS and arrival of each
    picture in order; `data`: all bytes."""

    port: int = field(default_factory=free_port)
    to: int | None = None
    keeps: bool = True
    pictures: list[tuple[int, float]] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    longest_gap_s: float = 0.0

    def __post_init__(self) -> None:
        self.demux = Demux()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.bind((HOST, self.port))
        self._socket.settimeout(0.1)
        self._stopped, self._last = False, None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Tap:
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped = True
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._stopped:
            with contextlib.suppress(TimeoutError):
                data = self._socket.recv(65536)
                now = time.monotonic()
                if self.keeps:
                    self.data.append(data)
                if self.to is not None:
                    with contextlib.suppress(OSError):
                        self._socket.sendto(data, (HOST, self.to))
                for event in self.demux.push(data, now):
                    if isinstance(event, AccessUnit) and event.pts is not None:
                        self._picture(event.pts, now)

    def _picture(self, pts: int, now: float) -> None:
        pts = pts if not self.pictures else next_to(self.pictures[-1][0], pts)
        if self.pictures:
            self.longest_gap_s = max(self.longest_gap_s, now - self.pictures[-1][1])
        self.pictures.append((pts, now))

    @property
    def steps(self) -> list[int]:
        """Ticks from picture to picture."""
        times = [pts for pts, _ in self.pictures]
        return [b - a for a, b in itertools.pairwise(times)]

    @property
    def damage(self) -> dict[str, int]:
        """Errors of the stream, but for intervals: a busy machine is late with everything."""
        found = self.demux.counts.items()
        return {kind: count for kind, count in found if not kind.endswith("interval")}

    def wait(self, pictures: int, timeout_s: float = 60) -> None:
        """Until so many pictures have come."""
        end = time.monotonic() + timeout_s
        while len(self.pictures) < pictures:
            assert time.monotonic() < end, f"{len(self.pictures)} of {pictures} pictures came"
            time.sleep(0.02)


def delays_ms(before: Tap, after: Tap) -> list[float]:
    """Of each picture that both saw, by its PTS: on the first time line these are the same."""
    came = dict(before.pictures)
    return [(at - came[pts]) * 1e3 for pts, at in after.pictures if pts in came]


@contextlib.contextmanager
def ffmpeg(*arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """Debian's ffmpeg, stopped at the end."""
    command = ["ffmpeg", "-nostdin", "-v", "error", *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


LOW_DELAY = ("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25")


def sender(
    port: int,
    size: str = "640x360",
    rate: str = "25",
    begins_s: float = 0,
    video: tuple[str, ...] = LOW_DELAY,
) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """A test picture and AAC in real time; `begins_s`: what its times begin with."""
    return ffmpeg(
        *("-re", "-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}"),
        *("-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"),
        *("-map", "0:v", "-map", "1:a", *video, "-c:a", "aac", "-b:a", "96k"),
        *("-output_ts_offset", begins_s, "-muxdelay", "0", "-f", "mpegts"),
        f"udp://{HOST}:{port}?pkt_size=1316",
    )


@dataclass
class Running:
    """A channel in a process of its own."""

    process: subprocess.Popen[str]
    json_file: Path
    said: list[str] = field(default_factory=list)
    said_s: list[float] = field(default_factory=list)  # when each was

    def ends(self, number: int = signal.SIGTERM, timeout_s: float = 10) -> tuple[int, float]:
        """Exit code and seconds after a signal."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(timeout_s)
        return code, time.monotonic() - began

    def wait(self, said: str, timeout_s: float = 60) -> None:
        """Until the channel has said that."""
        self.wait_count(said, 1, timeout_s)

    def wait_count(self, said: str, count: int, timeout_s: float = 60) -> None:
        """Until it has said that so many times."""
        end = time.monotonic() + timeout_s
        while sum(said in line for line in self.said) < count:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < end, self.said
            time.sleep(0.02)

    def wait_after(self, said: str, since_s: float, timeout_s: float = 60) -> float:
        """When it has said that, after a moment."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            for line, at_s in zip(self.said, self.said_s, strict=False):
                if at_s >= since_s and said in line:
                    return at_s
            assert self.process.poll() is None, self.said
            time.sleep(0.02)
        raise AssertionError(self.said)

    @property
    def status(self) -> dict[str, Any]:
        """The last one, once it has ended."""
        return dict(json.loads(self.json_file.read_text("utf-8")))


@contextlib.contextmanager
def channel(source: str, sink: str, *options: object) -> Iterator[Running]:
    """`keeprt live`, killed at the end if it still runs."""
    with tempfile.TemporaryDirectory() as folder:
        json_file = Path(folder) / "status.json"
        code = "from keeprt.engine.cli import main; main()"
        command = [sys.executable, "-c", code, "live", source, sink, "--json", str(json_file)]
        command += map(str, options)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        running = Running(process, json_file)
        reader = threading.Thread(target=_read, args=(running,), daemon=True)
        reader.start()
        try:
            yield running
        finally:
            process.kill()
            process.wait()
            reader.join(2)


def _read(running: Running) -> None:
    assert running.process.stderr is not None
    for line in running.process.stderr:
        running.said_s.append(time.monotonic())
        running.said.append(line.rstrip())


NGINX_RTMP = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
NEEDS_NGINX = pytest.mark.skipif(
    shutil.which("nginx") is None or not NGINX_RTMP.exists(),
    reason="needs nginx with RTMP (apt-get install nginx libnginx-mod-rtmp)",
)
NGINX = """
load_module {module};
daemon off; master_process off; worker_processes 1;
error_log {folder}/error.log; pid {folder}/nginx.pid;
events {{ worker_connections 64; }}
rtmp {{ server {{
    listen 127.0.0.1:{port}; chunk_size 4096;
    application live {{ live on; record off; wait_key on; }}
}} }}
"""


@contextlib.contextmanager
def rtmp_server(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """nginx with its RTMP module, on the loopback alone."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "nginx.conf"
        config.write_text(NGINX.format(module=NGINX_RTMP, folder=folder, port=port), "utf-8")
        process = subprocess.Popen(
            [shutil.which("nginx") or "nginx", "-p", folder, "-c", str(config)],
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(0.3)
            yield process
        finally:
            process.kill()
            process.wait()
