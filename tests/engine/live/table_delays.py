"""Declared and measured delays: ffmpeg sends 360p at 25 frames a second, taps note each picture.

The taps stand in front of the channel and behind it and note when a picture's last packet passed.
SRT and RTMP go from the first tap through one more program and their own hop, which counts.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median

import av
import numpy as np
import numpy.typing as npt

from keeprt.benchmarks.bench.on_air.source import TURN_S, write_stream
from keeprt.engine.live.budget import quantile
from tests.engine.live.clients import HOST, Tap, channel, ffmpeg, free_port, rtmp_server, sender

PERIOD_MS, TICKS = 40.0, 3600
SETTLES, COUNTS = 100, 250  # pictures
LONGEST = 1200  # pictures of a face: until a restorer is warm, and while it is measured
MILLISECOND = 90  # ticks: what RTMP rounds times to
COMPARED = 8  # pictures that tell what RTMP did to the times


@dataclass(frozen=True)
class Mode:
    """A row: what runs, and the delay that is declared."""

    name: str
    declared_ms: int
    transports: str
    options: tuple[str, ...] = ("--bypass",)
    has_face: bool = False


@dataclass(frozen=True)
class Measured:
    """Milliseconds of one run; `shown`: counts of the channel's frames; `painted`: of those with a
    restored face."""

    delays: list[float]
    cadence: list[float]  # how far the distance of two pictures is from a period
    missing: int
    shown: dict[str, int]
    painted: int
    load: float


def modes(bundle: str | None) -> list[Mode]:
    """The wire alone, with a bundle and a bypass, and restoring."""
    found = [Mode("wire", 40, "UDP"), Mode("wire", 160, "UDP SRT"), Mode("wire", 400, "RTMP")]
    if bundle:
        restores = ("--bundle", bundle)
        found.append(Mode("bypass", 160, "UDP SRT", ("--bypass", *restores)))
        found.append(Mode("bypass", 400, "RTMP", ("--bypass", *restores)))
        found.append(Mode("tiny network", 240, "UDP SRT", restores, has_face=True))
        found.append(Mode("tiny network", 400, "RTMP", restores, has_face=True))
    return found


@contextlib.contextmanager
def sending(mode: Mode, port: int) -> Iterator[None]:
    """A test picture and sound, or a face."""
    if not mode.has_face:
        with sender(port):
            yield
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "face.ts"
        write_stream(path, (640, 360), Fraction(25), LONGEST)
        where = f"udp://{HOST}:{port}?pkt_size=1316"
        with ffmpeg("-re", "-i", path, "-c", "copy", "-muxdelay", "0", "-f", "mpegts", where):
            yield


def measured(mode: Mode, transport: str) -> Measured:
    """One run."""
    after = Tap()
    out = f"udp://{HOST}:{after.port}"
    always = ("--delay", f"{mode.declared_ms}ms", "--control", "off", "--preset", "ultrafast")
    with contextlib.ExitStack() as stack:
        source, into = stack.enter_context(hop(transport))
        before = stack.enter_context(Tap(to=into))
        stack.enter_context(after)
        live = stack.enter_context(channel(source, out, *always, *mode.options))
        live.wait("started")
        stack.enter_context(sending(mode, before.port))
        after.wait(SETTLES + COUNTS, 180)
        live.ends()
        load = os.getloadavg()[0]
        shown, stages = live.status["frames"], live.status["stage_histograms"]
        painted = sum(stages["paint"]["counts"]) if "paint" in stages else 0
    return Measured(*timing(before, after, transport), shown, painted, load)


def timing(before: Tap, after: Tap, transport: str) -> tuple[list[float], list[float], int]:
    """Delays, distances from the cadence, and pictures that are missing, once it has settled."""
    arrivals = [at * 1e3 for _, at in after.pictures[SETTLES:]]
    cadence = [abs(b - a - PERIOD_MS) for a, b in pairwise(arrivals)]
    loose = MILLISECOND if transport == "RTMP" else 0
    missing = sum(round(step / TICKS) - 1 for step in after.steps)
    moved = moved_by(before, after) if loose else 0
    return delays_of(before, after, moved, loose)[SETTLES:], cadence, missing


def delays_of(before: Tap, after: Tap, moved: int, loose: int) -> list[float]:
    """Milliseconds of each picture that both saw; `moved`, `loose`: ticks."""
    came = sorted(before.pictures)
    times, found = [pts for pts, _ in came], []
    for pts, at in after.pictures:
        near = bisect_left(times, pts - moved - loose)
        if near < len(came) and abs(times[near] - pts + moved) <= loose:
            found.append((at - came[near][1]) * 1e3)
    return found


def moved_by(before: Tap, after: Tap) -> int:
    """Ticks that a picture's time was moved by on its way, by what the pictures show."""
    came, went = dict(before.pictures), dict(after.pictures)
    sources, found = small(before), Counter[int]()
    for pts, picture in small(after)[SETTLES : SETTLES + COUNTS : COUNTS // COMPARED]:
        # A face that moves is the same again after a turn: it is never that long on its way.
        near = [one for one in sources if 0 < went[pts] - came[one[0]] < TURN_S]
        best = min(near, key=lambda one: float(np.abs(one[1] - picture).mean()))
        found[round((pts - best[0]) / MILLISECOND)] += 1
    [(moved, _)] = found.most_common(1)
    return moved * MILLISECOND


def small(tap: Tap) -> list[tuple[int, npt.NDArray[np.float32]]]:
    """PTS and a small grey picture of each."""
    with av.open(io.BytesIO(b"".join(tap.data)), format="mpegts") as container:
        return [
            (int(one.pts or 0), one.reformat(160, 90, "gray").to_ndarray().astype(np.float32))
            for one in container.decode(video=0)
        ]


@contextlib.contextmanager
def hop(transport: str) -> Iterator[tuple[str, int]]:
    """SRC of the channel, and the UDP port whose stream reaches it."""
    port, via = free_port(), free_port()
    ours = f"udp://{HOST}:{port}"
    if transport == "UDP":
        yield ours, port
    elif transport == "SRT":
        with running(["srt-live-transmit", "-q", ours, f"srt://{HOST}:{via}?latency=80"]):
            yield f"srt://:{via}?mode=listener&latency=80", port
    else:
        theirs = f"rtmp://{HOST}:{via}/live/in"
        quick = ("-fflags", "nobuffer", "-probesize", "500000", "-analyzeduration", "500000")
        copied = ("-c", "copy", "-flvflags", "no_duration_filesize", "-f", "flv")
        with rtmp_server(via), ffmpeg(*quick, "-f", "mpegts", "-i", ours, *copied, theirs):
            yield theirs, port


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program, killed at the end."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def busy(wanted: bool) -> Iterator[None]:
    """Another program that takes a whole core."""
    if not wanted:
        yield
        return
    with running([sys.executable, "-c", "while True: pass"]):
        yield


SHOWN = ("restored", "original", "repeat", "black")
HEAD = "| runs | in | declared ms | median | p95 | p99 | cadence p99 | missing | shown | load |"


def row(mode: Mode, transport: str, one: Measured) -> str:
    """A line of the table."""
    shares = [median(one.delays), *(quantile(one.delays, share) for share in (0.95, 0.99))]
    cells = [
        mode.name,
        transport,
        f"{mode.declared_ms}",
        *(f"{value:.1f}" for value in shares),
        f"{quantile(one.cadence, 0.99):.1f}",
        f"{one.missing}",
        ", ".join(f"{one.shown[name]} {name}" for name in SHOWN if one.shown.get(name))
        + (f", {one.painted} faces" if one.painted else ""),
        f"{one.load:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def delays(bundle: str | None, is_busy: bool) -> Iterator[str]:
    """The table, a line as soon as it is measured."""
    yield HEAD
    yield "| --- " * HEAD.count(" | ") + "| --- |"
    for mode in modes(bundle):
        for transport in mode.transports.split():
            with busy(is_busy):
                one = measured(mode, transport)
            yield row(mode, transport, one)
