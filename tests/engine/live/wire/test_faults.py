"""What a channel does when others fail: the source goes and comes back, bytes are damaged, the wire
itself is killed."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from keeprt.engine.live.ts.packets import PACKET_BYTES
from tests.engine.live.clients import (
    HOST,
    NEEDS_FFMPEG,
    Running,
    Tap,
    channel,
    ffmpeg,
    free_port,
    sender,
)
from tests.engine.live.ts.streams import stream
from tests.engine.live.wire.test_simulated import Simulated, packets, pictures_of_any

PLAIN = ("--delay", "240ms", "--bypass", "--control", "off", "--preset", "ultrafast")


RNG = np.random.default_rng(3)


def flipped(piece: bytes) -> bytes:
    if RNG.random() < 0.7:
        return piece
    out = bytearray(piece)
    out[int(RNG.integers(len(out)))] ^= 1 << int(RNG.integers(8))
    return bytes(out)


def doubled(piece: bytes) -> bytes:
    return b"".join(p * (2 if RNG.random() < 0.05 else 1) for p in packets(piece))


def torn(piece: bytes) -> bytes:
    """Bytes are missing, so that packets no longer begin where they did."""
    return piece[: -int(RNG.integers(1, 187))] if RNG.random() < 0.05 else piece


@pytest.mark.parametrize(
    ("damage", "kind"),
    [(flipped, "continuity"), (doubled, "duplicate"), (torn, "lost sync")],
)
def test_damage_costs_pictures_and_never_a_tick(
    damage: Callable[[bytes], bytes], kind: str
) -> None:
    run = Simulated()
    run.feed(stream())  # the clock is locked, and then
    run.feed(stream(), run.now_s, damage)
    bad: list[int] = []

    def clean(piece: bytes) -> bytes:
        bad.append(run.channel.intake.errors + run.channel.intake.corrupt)
        return piece

    run.feed(stream(), run.now_s, clean)  # and it is clean afterwards: it holds three key pictures
    assert bad[-1] == bad[len(bad) // 2]
    run.idle(0.04)
    times = [picture.pts for picture in pictures_of_any(run.data)]
    assert {b - a for a, b in itertools.pairwise(times)} == {3600}
    assert run.channel.intake.demux.counts[kind] > 0
    if damage is doubled:
        assert run.channel.intake.errors == 0
    assert run.channel.state == "bypassing"
    assert len(run.data) % PACKET_BYTES == 0


@pytest.mark.slow
@NEEDS_FFMPEG
@pytest.mark.parametrize(
    "again", [{}, {"begins_s": 4000.0}, {"size": "320x240"}], ids=["reset", "later", "other size"]
)
def test_a_source_that_is_killed_and_comes_back(again: dict[str, object], tmp_path: Path) -> None:
    into, player = free_port(), free_port()
    received = tmp_path / "received.ts"
    receiver = ffmpeg("-i", f"udp://{HOST}:{player}", "-c", "copy", "-f", "mpegts", received)
    ladder = ("--on-loss", "repeat=400ms,black")
    with Tap(to=player) as after, receiver as playing:
        where = (f"udp://{HOST}:{into}", f"udp://{HOST}:{after.port}")
        with channel(*where, *PLAIN, *ladder) as live:
            live.wait("started")
            with sender(into):
                after.wait(75)
            live.wait("to slate")
            came = len(after.pictures)
            with sender(into, **again):  # type: ignore[arg-type]
                live.wait("another begins")
                after.wait(came + 100)
            assert playing.poll() is None
            live.ends()
            counts = live.status["frames"]
        assert set(after.steps) == {3600}
        assert not after.damage
    # One too many or too few where a tick and the killing meet, and single ones under load.
    assert counts["repeat"] >= 9
    assert counts["black"] > 0
    assert live.said[-1]


def children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def shared_memory() -> set[str]:
    return {path.name for path in Path("/dev/shm").iterdir()}


@pytest.mark.slow
@NEEDS_FFMPEG
def test_a_wire_that_is_killed_leaves_nothing(tiny_bundle: Path) -> None:
    into, before = free_port(), shared_memory()
    where = (f"udp://{HOST}:{into}", f"udp://{HOST}:{free_port()}")
    more = ("--delay", "400ms", "--bundle", tiny_bundle, "--control", "off")
    with channel(*where, *more) as live, sender(into):
        live.wait("ready, process", 120)
        kids = children(live.process.pid)
        assert kids
        live.process.kill()
        end = time.monotonic() + 10
        while any(Path(f"/proc/{kid}").exists() for kid in kids):
            assert time.monotonic() < end
            time.sleep(0.05)
    with contextlib.suppress(FileNotFoundError):
        assert shared_memory() <= before
    assert isinstance(live, Running)
