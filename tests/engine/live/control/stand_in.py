"""A wire that says and obeys what the real one does, and has no pictures but two grey ramps."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from keeprt.engine.live.control.address import listen
from keeprt.engine.live.control.process import ControlProcess
from keeprt.engine.live.link import Link
from keeprt.engine.live.states import State
from keeprt.engine.live.status import (
    Answer,
    Command,
    Delay,
    Event,
    Face,
    Picture,
    Quantiles,
    Settings,
    Status,
    Worker,
)

WIDTH, HEIGHT = 320, 180
AHEAD = 3  # frames from a command to the first that shows it
PARTS_MS = {"reorder": 40.0, "jitter": 12.0, "decode": 6.0, "processing": 55.0, "encoder": 9.0}


def busy_status(now_s: float) -> Status:
    """A status in which nothing is empty."""
    return Status(
        time_s=now_s,
        started_s=now_s - 3700,
        state=State.LIVE,
        ready=True,
        healthy=True,
        source="udp://127.0.0.1:7001",
        sink="udp://127.0.0.1:7002",
        picture=Picture(1280, 720, "yuv420p", "25", False, "h264", "h264"),
        on_loss="repeat=500ms,black=2s,slate=away.png",
        delay=Delay(160.0, PARTS_MS, Quantiles(250, 161.2, 164.0, 166.5, 170.1)),
        frames={"in": 92499, "out": 92500, "restored": 92480, "original": 15, "repeat": 5},
        bypass={"late": 15},
        ts_errors={"continuity": 2},
        stage_histograms={},
        jitter_ms=Quantiles(250, 0.4, 1.1, 1.9, 3.0),
        clock_ppm=12.5,
        queues={"slots": 4, "packets": 0, "restorer": 1, "send": 0},
        captions={"waiting": 0, "dropped": 0},
        reconnects={"source": 1, "sink": 0},
        transport={"rtt_ms": 21.5},
        sound_ms=0.4,
        bytes_in=10_000,
        bytes_out=12_000,
        memory_bytes=180_000_000,
        worker=Worker("ready", 4711, 1, "bundle", "killed", 900_000_000),
        faces=(Face(1, 0.2, 0.3, 0.1, 0.2, True), Face(2, 0.6, 0.3, 0.1, 0.2, False)),
    )


class StandIn(AbstractContextManager["StandIn"]):
    """Runs in a thread; `commands` is what it was told, by name and values."""

    def __init__(self, token_file: Path | None = None, *, preview: bool = True) -> None:
        listening = listen("127.0.0.1:0", token_file)
        assert listening is not None
        self.control = ControlProcess(listening, token_file, preview=preview)
        self.status = busy_status(time.time())
        self.commands: list[tuple[str, Mapping[str, Any]]] = []
        self.events: list[Event] = []
        self.rate = self.pictures = 0
        self.silent = False
        self._of: Link | None = None
        self._told = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> StandIn:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_thread()
        self.control.close()

    def stop_thread(self) -> None:
        """From then on it neither speaks nor hears."""
        self._stop.set()
        self._thread.join()

    def event(self, name: str, text: str, level: str = "info") -> None:
        """Says that something happened."""
        number = len(self.events) + 1
        self.events.append(Event(number, time.time(), self.status.frame, level, name, text))

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self.silent:
                self._turn(self.status.frame + 1)
            self._stop.wait(0.04)

    def _turn(self, frame: int) -> None:
        self.status = replace(self.status, frame=frame, time_s=time.time())
        self.control.keep(time.monotonic())
        link = self.control.link
        if link is None:
            return
        if link is not self._of:
            self._of, self._told, self.rate = link, 0, 0
        for thing in link.receive():
            if isinstance(thing, Command):
                link.send(self._obey(thing))
        for event in self.events[self._told :]:
            link.send(event)
        self._told = len(self.events)
        if frame % 5 == 0:
            link.send(self.status)
        if self.rate:
            self._show()

    def _obey(self, command: Command) -> Answer:
        if command.name == "preview":
            self.rate = command.values["rate"]
            return Answer(command.number)
        self.commands.append((command.name, command.values))
        if command.values.get("bundle") == "nowhere":
            return Answer(command.number, error="nowhere is no bundle")
        if command.name == "set":
            settings = Settings(**{**asdict(self.status.settings), **command.values})
            self.status = replace(self.status, settings=settings)
        return Answer(command.number, self.status.frame + AHEAD)

    def _show(self) -> None:
        assert self.control.writer is not None
        self.pictures += 1
        ramp = np.arange(WIDTH, dtype=np.uint32) + 2 * self.status.frame
        rows = np.tile((ramp % 256).astype(np.uint8)[None, :, None], (HEIGHT, 1, 3)).tobytes()
        after = rows if self.status.settings.bypass else bytes(len(rows))
        self.control.writer.write(self.status.frame, WIDTH, HEIGHT, rows, after)
