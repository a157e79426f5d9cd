"""An hour of pictures as fast as they go: memory, descriptors and threads do not grow."""

from __future__ import annotations

import os
import threading

import pytest

from keeprt.engine.live.transports.files import paced
from keeprt.engine.live.ts.pes import moved
from keeprt.engine.live.wire.meters import memory_bytes
from tests.engine.live.wire.test_signals import X264, Made, stream_of
from tests.engine.live.wire.test_simulated import Simulated, packets
from tests.long import LONG

FRAMES_A_TURN, FRAMES = 250, 90_000
TURN_TICKS = FRAMES_A_TURN * 3600


def soak(frames: int) -> list[tuple[int, int, int]]:
    """Memory in bytes, descriptors and threads after every tenth."""
    source = stream_of(Made(options=X264), FRAMES_A_TURN)
    run, seen = Simulated(delay="120ms"), []
    turns = frames // FRAMES_A_TURN
    for turn in range(turns):
        data = b"".join(moved(packet, turn * TURN_TICKS) for packet in packets(source))
        for due_s, piece in paced(iter([data, b""]).__next__):
            run.until(turn * FRAMES_A_TURN / 25 + due_s)
            run.channel.receive(piece, run.now_s)
        run.sent.clear()
        if turn % max(1, turns // 10) == 0:
            fds = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
            seen.append((memory_bytes(), fds, threading.active_count()))
    assert run.channel.meters.frames["out"] > 0.98 * frames
    assert run.channel.intake.errors == 0
    return seen


@pytest.mark.slow
def test_some_thousand_frames_leave_no_trace() -> None:
    seen = soak(3000)
    assert seen[-1][0] - seen[1][0] < 8 << 20
    assert seen[-1][1:] == seen[1][1:]


@LONG
def test_ninety_thousand_frames_leave_no_trace() -> None:
    seen = soak(FRAMES)
    assert seen[-1][0] - seen[1][0] < 5 << 20
    assert len({one[1:] for one in seen[1:]}) == 1
