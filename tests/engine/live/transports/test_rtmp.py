"""RTMP in and out by way of nginx: its pictures arrive, and arrive again when it was killed."""

from __future__ import annotations

import contextlib

import pytest

from tests.engine.live.clients import (
    HOST,
    NEEDS_FFMPEG,
    NEEDS_NGINX,
    Tap,
    channel,
    ffmpeg,
    free_port,
    rtmp_server,
)

pytestmark = [NEEDS_FFMPEG, NEEDS_NGINX, pytest.mark.slow]
PLAIN = ("--delay", "400ms", "--bypass", "--control", "off", "--preset", "ultrafast")


def publisher(port: int) -> contextlib.AbstractContextManager[object]:
    """A test picture and AAC to the server."""
    return ffmpeg(
        *("-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"),
        *("-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25"),
        *("-c:a", "aac", "-f", "flv", f"rtmp://{HOST}:{port}/live/in"),
    )


def player(port: int, to: int) -> contextlib.AbstractContextManager[object]:
    """What is published, as a transport stream."""
    where = f"udp://{HOST}:{to}?pkt_size=1316"
    return ffmpeg(
        "-i",
        f"rtmp://{HOST}:{port}/live/out",
        "-c",
        "copy",
        "-muxdelay",
        "0",
        "-f",
        "mpegts",
        where,
    )


def test_rtmp_in_and_out_and_again_after_the_server_was_killed() -> None:
    port = free_port()
    addresses = (f"rtmp://{HOST}:{port}/live/in", f"rtmp://{HOST}:{port}/live/out")
    with channel(*addresses, *PLAIN) as live:
        for _ in range(2):
            with rtmp_server(port), publisher(port):
                came = sum("locking to bypassing" in line for line in live.said)
                live.wait_count("locking to bypassing", came + 1)
                with Tap() as after, player(port, after.port):
                    after.wait(60)
                    assert set(after.steps) <= {3570, 3600, 3630}  # milliseconds
        code, seconds = live.ends()
    assert (code, seconds < 3) == (0, True)
