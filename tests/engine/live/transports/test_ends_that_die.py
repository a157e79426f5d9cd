"""What is at the other end of SRT or RTMP is killed, and comes back; the output never stops."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.engine.live.clients import (
    HOST,
    NEEDS_FFMPEG,
    NEEDS_NGINX,
    Running,
    Tap,
    channel,
    free_port,
    rtmp_server,
    sender,
)
from tests.engine.live.table_delays import running
from tests.engine.live.transports.test_rtmp import player
from tests.long import LONG

pytestmark = [NEEDS_FFMPEG, pytest.mark.slow]
PLAIN = ("--delay", "300ms", "--bypass", "--control", "off", "--preset", "ultrafast")
LADDER = ("--on-loss", "repeat=400ms,black")


@contextlib.contextmanager
def srt_sender(into: int) -> Iterator[None]:
    port = free_port()
    command = ["srt-live-transmit", "-q", f"udp://{HOST}:{port}", f"srt://{HOST}:{into}?latency=80"]
    with running(command), sender(port):
        yield


@pytest.mark.skipif(shutil.which("srt-live-transmit") is None, reason="needs srt-tools")
def test_an_srt_source_that_is_killed_and_comes_back() -> None:
    into = free_port()
    with Tap() as after:
        where = (f"srt://:{into}?mode=listener&latency=80", f"udp://{HOST}:{after.port}")
        with channel(*where, *PLAIN, *LADDER) as live:
            with srt_sender(into):
                after.wait(75)
            live.wait("to slate")
            came = len(after.pictures)
            with srt_sender(into):
                live.wait("another begins")
                after.wait(came + 100)
            assert live.ends()[0] == 0
            status = live.status
        assert set(after.steps) == {3600}
        assert not after.damage
    assert status["frames"]["repeat"] >= 9 and status["frames"]["black"] > 0
    assert status["transport"]["source_packets"] > 0
    assert status["sound_ms"] == pytest.approx(0, abs=1)


def programs(live: Running) -> list[psutil.Process]:
    return psutil.Process(live.process.pid).children(recursive=True)


@NEEDS_NGINX
@pytest.mark.parametrize("away_s", [5, pytest.param(60, marks=LONG)])
def test_a_sink_whose_server_is_killed_is_at_the_live_edge_when_it_is_back(away_s: float) -> None:
    into, port = free_port(), free_port()
    with Tap(to=into, keeps=False) as before:
        where = (f"udp://{HOST}:{into}", f"rtmp://{HOST}:{port}/live/out")
        with channel(*where, *PLAIN) as live, sender(before.port, rate="25"):
            with rtmp_server(port):
                with Tap(keeps=False) as after, player(port, after.port):
                    after.wait(50)
                [program] = programs(live)
            killed_s = time.monotonic()
            while program.is_running() and program.status() != psutil.STATUS_ZOMBIE:
                assert time.monotonic() < killed_s + 30
                time.sleep(0.02)
            seen_s = time.monotonic() - killed_s
            memory = psutil.Process(live.process.pid).memory_info().rss
            time.sleep(away_s)
            grown = psutil.Process(live.process.pid).memory_info().rss - memory
            with rtmp_server(port):
                began_s = time.monotonic()
                with Tap(keeps=False) as after, player(port, after.port):
                    after.wait(50)
                    first_s = after.pictures[0][1] - began_s
            code, _ = live.ends()
            status = live.status
    print(f"seen after {seen_s:.2f} s, {grown / 1e6:.1f} MB, back after {first_s:.1f} s")
    assert code == 0
    assert status["reconnects"]["sink"] >= 1
    assert grown < 8 << 20
    # What was sent meanwhile is gone, and is not sent now: nothing waits anywhere.
    assert status["queues"]["send"] == 0
