"""What the wire and the control process tell each other arrives as it was sent."""

from __future__ import annotations

import dataclasses
import os

import pytest

from keeprt.engine.live.link import ControlConfig, Link
from keeprt.engine.live.memory import Memory
from keeprt.engine.live.preview import LARGEST, PREVIEW_BYTES, PreviewReader, PreviewWriter
from keeprt.engine.live.states import State
from keeprt.engine.live.status import (
    Answer,
    Command,
    Delay,
    Event,
    Face,
    Histogram,
    Message,
    Quantiles,
    Settings,
    Status,
    message,
    read_message,
)

STATUS = Status(
    state=State.LIVE,
    settings=Settings(strength=0.5, bypass=True),
    delay=Delay(160.0, {"jitter": 3.0}, Quantiles(9, 161.0, 162.0, 163.0, 170.0)),
    frames={"in": 3, "out": 4},
    stage_histograms={"decode": Histogram((1.0, 2.0), [1, 2, 3], 9.0)},
    faces=(Face(1, 0.1, 0.2, 0.3, 0.4, True),),
)
EVENT = Event(1, 2.0, 3, "warning", "source lost", "no bytes for 1 s")


@pytest.mark.parametrize(
    "thing", [STATUS, Status(), EVENT, Command(7, "set", {"bypass": True}), Answer(7, 1234)]
)
def test_every_message_comes_back_equal(thing: Message) -> None:
    back = read_message(message(thing))
    assert dataclasses.asdict(back) == dataclasses.asdict(thing)
    assert type(back) is type(thing)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"kind": "x"}', b'{"kind": "answer", "y": 1}']
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        read_message(data)


def test_a_histogram_counts_by_upper_end() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 3.0):
        histogram.see(value)
    assert (histogram.counts, histogram.total) == ([2, 1, 1], 6.0)


def test_messages_cross_a_link_both_ways_and_its_end_is_seen() -> None:
    wire, theirs = Link.pair()
    control = Link.of(theirs.detach())
    assert wire.send(EVENT)
    assert wire.send(STATUS)
    assert [type(m) for m in control.receive()] == [Event, Status]
    assert control.send(Command(1, "stop"))
    assert wire.receive() == [Command(1, "stop")]
    wire.close()
    assert control.receive() == []
    assert control.closed


def test_a_slow_reader_keeps_nobody_waiting_and_loses_statuses_alone() -> None:
    wire, theirs = Link.pair()
    control = Link.of(theirs.detach())
    while wire.send(STATUS):
        pass
    assert not wire.send(EVENT)
    seen = control.receive()
    assert seen
    assert not any(isinstance(m, Event) for m in seen)
    assert wire.send(STATUS)
    assert [type(m) for m in control.receive()] == [Event, Status]
    wire.close()
    control.close()


def test_the_preview_gives_the_latest_picture_or_none() -> None:
    memory = Memory.create(PREVIEW_BYTES)
    other = Memory.of(os.dup(memory.fd), PREVIEW_BYTES)
    writer, reader = PreviewWriter(memory), PreviewReader(other)
    assert reader.read() is None
    writer.write(5, 2, 1, b"before", b"after.")
    writer.write(6, 1, 1, b"abc", b"def")
    seen = reader.read()
    assert seen is not None
    assert (seen.number, seen.width, seen.before, seen.after) == (6, 1, b"abc", b"def")
    memory.map[0] |= 1  # as while one is being written
    assert reader.read() is None
    with pytest.raises(ValueError, match="preview"):
        writer.write(1, LARGEST, 2, b"", b"")
    memory.close()
    other.close()


def test_the_control_process_is_told_where_to_listen() -> None:
    config = ControlConfig(3, 4, "127.0.0.1:8787", "token", False)
    assert ControlConfig.read(config.text()) == config
