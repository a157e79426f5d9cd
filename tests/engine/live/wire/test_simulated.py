"""The wire in simulated time: a stream through it as fast as it is read."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
import numpy as np
import pytest

from keeprt.engine.errors import UsageError
from keeprt.engine.live.options import LiveOptions
from keeprt.engine.live.status import Settings
from keeprt.engine.live.transports.files import paced
from keeprt.engine.live.ts.demux import AccessUnit, Demux
from keeprt.engine.live.ts.packets import PACKET_BYTES, pid_of
from keeprt.engine.live.ts.pes import moved
from keeprt.engine.live.ts.psi import Program
from keeprt.engine.live.wire.channel import Channel
from keeprt.engine.live.wire.intake import Rate
from keeprt.engine.live.wire.report import status
from keeprt.engine.live.wire.restoring import Restoring
from keeprt.engine.live.wire.run import run
from tests.engine.live.ts.streams import stream

PERIOD_S = 0.04


def options(**more: object) -> LiveOptions:
    base = {"delay": "80ms", "preset": "ultrafast", "settings": Settings(bypass=True)}
    return LiveOptions("file:in.ts", "file:out.ts", **{**base, **more})  # type: ignore[arg-type]


class Simulated:
    """A channel, and the time that its caller keeps."""

    def __init__(self, restoring: Restoring | None = None, **more: object) -> None:
        self.sent: list[tuple[float, bytes]] = []
        self.now_s = 0.0
        send = lambda data: self.sent.append((self.now_s, data))  # noqa: E731
        self.channel = Channel(options(**more), send, restoring)

    def until(self, now_s: float) -> None:
        while (due := self.channel.next_tick_s) is not None and due <= now_s:
            self.now_s = due
            self.channel.tick(due)
        self.now_s = now_s
        self.channel.pull(now_s)

    def feed(
        self,
        data: bytes,
        begins_s: float = 0.0,
        damage: Callable[[bytes], bytes] = lambda piece: piece,
    ) -> float:
        """A stream at its own pace from `begins_s` on; when its last byte came."""
        reader = io.BytesIO(data)
        for due_s, piece in paced(lambda: reader.read(1 << 16)):
            self.until(begins_s + due_s)
            self.channel.receive(damage(piece), self.now_s)
        return self.now_s

    def idle(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.01)):
            self.until(self.now_s + 0.01)

    @property
    def data(self) -> bytes:
        return b"".join(data for _, data in self.sent)


def packets(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), PACKET_BYTES):
        yield data[at : at + PACKET_BYTES]


def pictures(data: bytes) -> list[AccessUnit]:
    demux = Demux()
    found = [*demux.push(data, 0.0), *demux.finish()]
    assert not demux.counts
    return [one for one in found if isinstance(one, AccessUnit)]


def frames(data: bytes) -> list[av.VideoFrame]:
    with av.open(io.BytesIO(data), format="mpegts") as container:
        return list(container.decode(video=0))


def beside(data: bytes) -> list[bytes]:
    program = Program()
    for packet in packets(data):
        program.push(packet, pid_of(packet))
    assert program.video is not None
    return [packet for packet in packets(data) if pid_of(packet) != program.video.pid]


def test_all_but_the_picture_passes_byte_for_byte_and_each_tick_has_a_picture() -> None:
    run_ = Simulated()
    run_.feed(stream())
    run_.idle(0.3)
    before, after = beside(stream()), beside(run_.data)
    assert [pid_of(packet) for packet in after[:2]] == [0, 0x1000]  # what the picture is
    after = after[2:]
    first = before.index(after[0])
    assert after == before[first : first + len(after)]
    assert len(after) > 0.6 * len(before)
    times = [picture.pts for picture in pictures(run_.data) if picture.pts is not None]
    assert {b - a for a, b in itertools.pairwise(times)} == {3600}
    assert len(frames(run_.data)) == run_.channel.meters.frames["out"] >= 50


def test_a_picture_leaves_at_the_declared_delay_after_it_came() -> None:
    run_ = Simulated()
    run_.feed(stream())
    # The delay counts from the least: this stream's own pictures are up to 25 ms unlike each other.
    assert 50 < median(run_.channel.meters.delay_ms.last) < 110
    assert run_.channel.meters.frames["original"] == run_.channel.meters.frames["out"]


def test_a_loss_is_covered_by_the_ladder_and_tables_and_clock_go_on() -> None:
    run_ = Simulated(on_loss="repeat=400ms,black")
    run_.feed(stream())
    sent = len(run_.sent)
    run_.idle(3.0)
    counts = run_.channel.meters.frames
    assert 8 <= counts["repeat"] <= 10
    assert counts["black"] > 50
    assert run_.channel.state == "slate"
    lost = b"".join(data for _, data in run_.sent[sent:])
    demux = Demux()
    for at, data in run_.sent[sent:]:
        demux.push(data, at)
    assert demux.checks.longest_s["PAT"] <= 0.5
    assert demux.checks.longest_s["PMT"] <= 0.5
    assert demux.checks.longest_s["PCR"] <= 0.04
    assert frames(lost)[-1].to_ndarray(format="gray").max() < 20


@pytest.mark.parametrize("ticks", [0, 1 << 32])
def test_a_source_that_comes_back_with_other_times_is_joined(ticks: int) -> None:
    run_ = Simulated()
    end_s = run_.feed(stream())
    run_.idle(2.0)
    again = b"".join(moved(packet, ticks) for packet in packets(stream()))
    run_.feed(again, end_s + 2.0)
    run_.idle(0.3)
    assert run_.channel.air is not None
    assert run_.channel.air.slots.counts["joins"] == 1
    times = [picture.pts for picture in pictures(run_.data) if picture.pts is not None]
    assert {b - a for a, b in itertools.pairwise(times)} == {3600}
    assert run_.channel.meters.frames["original"] >= 95
    delay = list(run_.channel.meters.delay_ms.last)
    assert median(delay[-40:]) == pytest.approx(median(delay[:40]), abs=15)
    demux = Demux()
    demux.push(run_.data, 0.0)
    assert not demux.counts  # continuity of all that passes, too


def test_settings_hold_from_the_tick_that_is_announced() -> None:
    run_ = Simulated(settings=Settings())
    run_.feed(stream(25))
    slot = run_.channel.set({"bypass": True, "strength": 0.5})
    assert not run_.channel.settings.bypass
    run_.idle(0.2)
    assert run_.channel.settings == Settings(0.5, "largest", True)
    assert run_.channel.meters.frame >= slot
    for wrong in ({"strength": 2}, {"colour": 1}, {"faces": "x"}, {"detect_every": 0}):
        with pytest.raises(UsageError):
            run_.channel.set(wrong)


def test_a_machine_that_cannot_keep_up_leaves_pictures_out_and_keeps_the_delay() -> None:
    run_ = Simulated()
    run_.feed(stream(40))
    due_s = run_.channel.next_tick_s
    assert due_s is not None
    out = run_.channel.meters.frames["out"]
    run_.channel.tick(due_s + 0.4)
    run_.channel.tick(due_s + 2.0)
    assert run_.channel.meters.frames["out"] == out + 1
    assert run_.channel.meters.frames["dropped"] == 1


@pytest.mark.parametrize("keep", [0.999, 0.99, 0.95])
def test_lost_packets_cost_pictures_and_never_a_tick(keep: float) -> None:
    rng = np.random.default_rng(1)
    damaged = b"".join(p for p in packets(stream()) if rng.random() < keep)
    run_ = Simulated()
    run_.feed(damaged)
    run_.idle(0.2)
    times = [picture.pts for picture in pictures_of_any(run_.data)]
    assert {b - a for a, b in itertools.pairwise(times)} == {3600}
    assert run_.channel.intake.demux.counts["continuity"] > 0


def pictures_of_any(data: bytes) -> list[AccessUnit]:
    demux = Demux()
    return [one for one in demux.push(data, 0.0) if isinstance(one, AccessUnit)]


def test_a_file_runs_through_the_whole_wire(tmp_path: Path) -> None:
    source, sink = tmp_path / "in.ts", tmp_path / "out.ts"
    source.write_bytes(stream())
    asked = LiveOptions(
        f"file:{source}", f"file:{sink}", delay="160ms", settings=Settings(bypass=True)
    )
    assert run(asked, quiet=True, json_file=str(tmp_path / "status.json")) == 0
    # The first ones tell the clock.
    assert 50 <= len(frames(sink.read_bytes())) <= 75 - 12


def shifts_of_sound(before: bytes, after: bytes) -> list[int]:
    """How many ticks later each PES of the sound is, found by its bytes."""

    def by_payload(data: bytes) -> dict[bytes, int]:
        with av.open(io.BytesIO(data), format="mpegts") as container:
            found = [(bytes(one), one.pts) for one in container.demux(audio=0)]
        return {payload: pts for payload, pts in found if payload and pts is not None}

    ours, theirs = by_payload(after), by_payload(before)
    return [pts - theirs[payload] for payload, pts in ours.items() if payload in theirs]


def shifts_of_pictures(before: bytes, after: bytes) -> list[int]:
    """The same of the pictures, each of noise of its own."""

    def grey(frame: av.VideoFrame) -> np.ndarray:
        picture = frame.to_ndarray(format="gray").astype(np.float32)
        return np.asarray((picture - picture.mean()) / max(1.0, picture.std()))

    sources = [(grey(frame), int(frame.pts or 0)) for frame in frames(before)]
    found = []
    for frame in frames(after):
        scores = [float((grey(frame) * picture).mean()) for picture, _ in sources]
        if max(scores) > 0.5:
            found.append(int(frame.pts or 0) - sources[int(np.argmax(scores))][1])
    return found


@pytest.mark.parametrize("ticks", [0, 1234])
def test_sound_stays_with_the_picture_through_a_restart_of_the_source(ticks: int) -> None:
    run_ = Simulated()
    first_s = run_.feed(stream())
    assert status(run_.channel, 0.0).sound_ms == pytest.approx(0, abs=0.02)
    run_.idle(2.0)
    sent = len(run_.sent)
    again = b"".join(moved(packet, ticks) for packet in packets(stream()))
    run_.feed(again, first_s + 2.013)
    run_.idle(0.3)
    said = status(run_.channel, 0.0).sound_ms
    assert said == pytest.approx(0, abs=0.02)
    tables = b"".join(beside(run_.data)[:2])
    late = tables + b"".join(data for _, data in run_.sent[sent:])
    sound, pictures_ = shifts_of_sound(again, late), shifts_of_pictures(again, late)
    assert len(sound) > 50 and len(pictures_) > 30
    assert abs(median(pictures_) - median(sound)) <= 2


@pytest.mark.parametrize(
    ("ticks", "header", "rate"),
    [
        ([0, 3600, 7200, 10800], None, Fraction(25)),
        ([0, 3003, 6006, 9009], None, Fraction(30000, 1001)),
        ([0, 1501, 3003, 4504, 6006], None, Fraction(60000, 1001)),
        ([0, 2970, 6030, 9000, 11970], Fraction(30), Fraction(30)),
        ([0, 3600, 10800, 14400, 18000], None, Fraction(25)),
        ([], None, Fraction(25)),
        ([0, 4500, 9000], None, Fraction(20)),
    ],
)
def test_the_rate_is_that_of_the_times(
    ticks: list[int], header: Fraction | None, rate: Fraction
) -> None:
    seen = Rate()
    for one in ticks:
        seen.see(one)
    assert seen.estimate(header) == rate
