"""`keeprt live` between two of Debian's ffmpeg: nothing missing, a constant delay, nothing left."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from statistics import median

import pytest

from tests.engine.live.clients import (
    HOST,
    NEEDS_FFMPEG,
    Tap,
    channel,
    delays_ms,
    ffmpeg,
    free_port,
    sender,
)

pytestmark = [NEEDS_FFMPEG, pytest.mark.slow]
PLAIN = ("--delay", "200ms", "--bypass", "--control", "off", "--preset", "ultrafast")


def test_a_channel_between_two_ffmpegs(tmp_path: Path) -> None:
    into, out, player = free_port(), free_port(), free_port()
    received = tmp_path / "received.ts"
    receiver = ffmpeg("-i", f"udp://{HOST}:{player}", "-c", "copy", "-f", "mpegts", received)
    with Tap(to=into) as before, Tap(out, to=player) as after, receiver as playing:
        with (
            channel(f"udp://{HOST}:{into}", f"udp://{HOST}:{out}", *PLAIN) as live,
            sender(before.port),
        ):
            after.wait(200)
            playing.send_signal(signal.SIGINT)
            assert playing.wait(10) in (0, 255)
            code, seconds = live.ends()
            counts = live.status["frames"]
        assert (code, seconds < 2) == (0, True)
        assert counts["out"] == counts["original"] + counts.get("repeat", 0)
        assert set(after.steps) == {3600}
        assert not after.damage
        delays = delays_ms(before, after)
        # Wide: another program may hold the machine while a picture is due.
        assert abs(median(delays[-50:]) - median(delays[:50])) < 25
        assert 150 < median(delays) < 260
    probe = subprocess.run(
        ["ffprobe", "-v", "warning", "-count_frames", "-show_streams", str(received)],
        capture_output=True,
        text=True,
    )
    assert "codec_name=h264" in probe.stdout
    assert "codec_name=aac" in probe.stdout
    assert probe.stderr == ""


def test_without_a_source_a_channel_waits_and_ends_when_it_is_told() -> None:
    with channel(f"udp://{HOST}:{free_port()}", f"udp://{HOST}:{free_port()}", *PLAIN) as live:
        live.wait("started")
        code, seconds = live.ends()
        assert (code, seconds < 2) == (0, True)
        assert live.status["state"] == "connecting"
