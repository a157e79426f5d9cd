"""The restorer's process may raise, hang, die or never start: the programme goes on, originals
from the next tick, restored again a moment later."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from keeprt.engine.live.options import LiveOptions
from keeprt.engine.live.restoring.link import ProcessRestoring
from keeprt.engine.live.status import Settings
from keeprt.engine.live.transports.files import paced
from keeprt.engine.live.wire.channel import Channel
from keeprt.engine.live.wire.intake import Arrived, Intake, describe
from tests.engine.live.ts.streams import stream
from tests.engine.live.wire.test_signals import captions_of, with_captions

STAND_IN = [sys.executable, "-m", "tests.engine.live.stand_in"]
PERIOD_S = 0.04


class OnAir:
    """A channel in real time whose source is a file; each tick's kind in order."""

    def __init__(self, restoring: ProcessRestoring, delay: str = "160ms") -> None:
        self.events: list[tuple[str, str, str]] = []
        restoring.tell = lambda *event: self.events.append(event)
        options = LiveOptions("", "", delay=delay, preset="ultrafast", settings=Settings())
        self.sent: list[bytes] = []
        self.channel = Channel(options, self.sent.append, restoring)
        self.kinds: list[str] = []
        self.restoring = restoring

    def warm(self) -> None:
        """Until the process is ready, before the first picture."""
        intake = Intake()
        events = intake.push(stream(), 0.0)
        first = next(event for event in events if isinstance(event, Arrived))
        assert intake.decoder is not None
        self.restoring.begin(describe(first.frame, intake.decoder), lambda slot, frame: None)
        end = time.monotonic() + 60
        while self.restoring.bypass is not None:
            assert time.monotonic() < end
            time.sleep(0.05)

    def run(
        self,
        seconds: float,
        each: Callable[[int], None] = lambda tick: None,
        data: bytes | None = None,
    ) -> None:
        pieces = _pieces(stream(250) if data is None else data)
        began_s, (due_s, piece) = time.monotonic(), next(pieces)
        while (now_s := time.monotonic()) < began_s + seconds:
            if piece and now_s - began_s >= due_s:
                # As if it had come in time: what the machine is late by is not the channel's.
                self.channel.receive(piece, began_s + due_s)
                due_s, piece = next(pieces, (0.0, b""))
                continue
            tick_s = self.channel.next_tick_s
            if tick_s is not None and now_s >= tick_s:
                self._tick(now_s, each)
                continue
            time.sleep(0.001)

    def _tick(self, now_s: float, each: Callable[[int], None]) -> None:
        before = dict(self.channel.meters.frames)
        self.channel.tick(now_s)
        after = self.channel.meters.frames
        kinds = ("restored", "original", "repeat", "black")
        self.kinds += [kind for kind in kinds if after[kind] > before.get(kind, 0)]
        each(len(self.kinds))


def _pieces(data: bytes) -> Iterator[tuple[float, bytes]]:
    reads = iter([data, b""])
    yield from paced(lambda: next(reads))


@contextmanager
def restored_by(
    monkeypatch: pytest.MonkeyPatch, **environment: str
) -> Iterator[tuple[OnAir, ProcessRestoring]]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[4]))
    options = LiveOptions("", "", delay="160ms")
    with closing(ProcessRestoring(options, STAND_IN)) as restoring:
        yield OnAir(restoring), restoring


def children() -> set[int]:
    tasks = Path("/proc/self/task")
    found = [(task / "children").read_text().split() for task in tasks.iterdir()]
    return {int(pid) for pids in found for pid in pids}


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["raise@40", "die@40", "hang@40"])
def test_a_fault_puts_originals_on_air_and_then_restored_ones_again(
    fault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = children()
    with restored_by(monkeypatch, FAULT=fault, FAULT_FILE=str(tmp_path / "once")) as (air, link):
        air.warm()
        air.run(9.0)
        first = air.kinds.index("restored")
        # Before that a busy machine may still be opening its encoder.
        assert "repeat" not in air.kinds[first:]
        broken = air.kinds.index("original", first)
        again = air.kinds.index("restored", broken)
        assert again - broken <= 5 / PERIOD_S
        assert air.kinds[-1] == "restored"
        # A machine that is busy may make it fall once more.
        assert link.restarts >= (0 if fault.startswith("raise") else 1), air.events
        assert any("fault" in text or "down" in name for _, name, text in air.events)
    assert children() <= before


@pytest.mark.slow
def test_a_restorer_that_never_starts_leaves_the_originals_on_air(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with restored_by(monkeypatch, FAULT="never") as (air, link):
        air.run(4.0)
        assert set(air.kinds) == {"original"}
        assert link.restarts >= 1
        reasons = air.channel.meters.bypass
        assert reasons["worker down"] + reasons["warming"] == len(air.kinds)


@pytest.mark.slow
def test_a_restorer_that_is_too_slow_costs_restorations_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with restored_by(monkeypatch, DELAY="0.3") as (air, _):
        air.warm()
        air.run(4.0)
        assert set(air.kinds) == {"original"}
        assert air.channel.meters.bypass["late"] > 0


@pytest.mark.slow
def test_kill_9_is_seen_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []

    def kill(tick: int) -> None:
        pid = air.restoring.worker.pid
        if tick == 60 and pid:
            os.kill(pid, 9)
            killed.append(tick)

    with restored_by(monkeypatch) as (air, link):
        air.warm()
        air.run(9.0, kill)
        assert killed
        assert "repeat" not in air.kinds[60:]
        # What was restored already is shown; then originals, then restored ones again.
        broken = air.kinds.index("original", 60)
        assert broken - 60 <= 6
        assert air.kinds[-1] == "restored"
        assert link.last_reason == "signal 9"


@pytest.mark.slow
def test_captions_are_whole_while_the_process_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    text = [b"\xfc" + bytes((0xC1 + n % 26, 0x80 | n % 127)) for n in range(190)]
    source = with_captions(stream(200), text)

    def kill(tick: int) -> None:
        pid = air.restoring.worker.pid
        if tick == 60 and pid:
            os.kill(pid, 9)

    with restored_by(monkeypatch) as (air, link):
        air.warm()
        air.run(9.0, kill, source)
        assert link.last_reason == "signal 9"
        assert {"original", "restored"} <= set(air.kinds)
    said = captions_of(b"".join(air.sent))
    assert len(said) > 2 * 150
    assert said in captions_of(source)


@pytest.mark.slow
@pytest.mark.parametrize("good", [True, False])
def test_a_reload_in_the_middle_costs_no_picture(
    good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int | None] = []

    def reload(tick: int) -> None:
        if tick == 60:
            pids.append(air.restoring.worker.pid)
            if not good:
                monkeypatch.setenv("FAULT", "never")
            air.restoring.reload("another")

    with restored_by(monkeypatch) as (air, link):
        air.warm()
        air.run(8.0, reload)
        assert "repeat" not in air.kinds[60:]
        assert air.kinds[-1] == "restored"
        said = "restored by another" if good else "the new bundle is not used"
        assert any(said in text for _, _, text in air.events), air.events
        assert (link.worker.pid != pids[0]) is good
        assert link.restarts == 0, air.events
        reasons = air.channel.meters.bypass
        assert reasons["warming"] == reasons["worker down"] == 0, "the old one served meanwhile"
