"""A live channel's restorer on the driver in host memory: two frames in flight, none held back."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from keeprt.engine import Restorer, load_bundle
from keeprt.engine.live.options import LiveOptions
from keeprt.engine.live.restoring import worker as worker_module
from keeprt.engine.live.restoring.chain import Chain, Painted
from keeprt.engine.live.restoring.frames import Buffers
from keeprt.engine.live.restoring.messages import Done, Start, Work, receive, send
from keeprt.engine.live.restoring.worker import Worker
from tests.cuda_driver.engines import HostEngines
from tests.cuda_driver.session import ON_DRIVER
from tests.engine.devices.cuda.conftest import Card
from tests.engine.devices.cuda.test_card_pipeline import WINDOW, Noted
from tests.engine.live.restoring.test_chain import COUNT, SETTINGS, detector, frames, like
from tests.engine.pipeline_clips import copied_planes

pytestmark = ON_DRIVER
OPTIONS = LiveOptions("", "", settings=SETTINGS)
SIZES = {"window": WINDOW, "max_faces": 1}


@pytest.fixture
def on_card(card: Card, tiny_bundle: Path) -> Iterator[Noted]:
    bundle = load_bundle(tiny_bundle)
    engines = HostEngines(bundle)
    with Noted(bundle, engines, **SIZES) as network:  # type: ignore[arg-type]
        yield network
    assert engines.errors == []


def coloured() -> list[av.VideoFrame]:
    found = frames()
    for frame in found:
        frame.colorspace, frame.color_range = 1, 1
    return found


def on_the_cpu(tiny_bundle: Path) -> list[Painted]:
    with Restorer.load(tiny_bundle, threads=1, **SIZES) as network:  # type: ignore[arg-type]
        chain = Chain(like, OPTIONS, network, detector())
        return [one for frame in coloured() for one in chain.step(frame, SETTINGS)]


def assert_same(ours: list[Any], theirs: list[Painted]) -> None:
    assert len(ours) == len(theirs) == COUNT
    for one, other in zip(ours, theirs, strict=True):
        assert (one is None) == (other.frame is None)
        if one is not None and other.frame is not None:
            for a, b in zip(copied_planes(one), copied_planes(other.frame), strict=True):
                np.testing.assert_array_equal(a, b)


def test_the_pictures_are_the_cpu_s_with_two_frames_in_flight(
    on_card: Noted, tiny_bundle: Path
) -> None:
    chain, counts, done = Chain(like, OPTIONS, on_card, detector()), list[int](), list[Painted]()
    for frame in coloured():
        new = chain.step(frame, SETTINGS)
        counts.append(len(new))
        done += new
    done += chain.collect()
    assert on_card.most == 2 and 0 in counts, "one is held while the next one runs"
    assert_same([one.frame for one in done], on_the_cpu(tiny_bundle))


@contextmanager
def running(network: Restorer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(worker_module, "load_network", lambda start: network)
    finds = detector()
    monkeypatch.setattr(worker_module, "load_detector", lambda options: finds)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(60)
    buffers = Buffers(like, COUNT)
    options = LiveOptions("", "", bundle="handed over", settings=SETTINGS)
    restorer = Worker(theirs, Start(options, like, COUNT, buffers.memory.fd))
    finds.calls = 0  # it has warmed up
    thread = threading.Thread(target=restorer.run, daemon=True)
    try:
        yield ours, buffers, thread
    finally:
        ours.close()
        thread.join(60)
        theirs.close()


@pytest.mark.parametrize("at_once", [True, False])
def test_a_frame_is_held_only_while_a_next_one_waits(
    on_card: Noted, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    later, answers = time.monotonic() + 600, list[Done]()
    with running(on_card, monkeypatch) as (end, buffers, thread):
        on_card.most = 0
        for slot, frame in enumerate(coloured()):
            buffers.write(slot, frame)
        if not at_once:
            thread.start()
        for slot in range(COUNT):
            send(end, Work(slot, slot, later, SETTINGS))
            if not at_once:
                answers.append(receive(end))  # type: ignore[arg-type]
        if at_once:
            thread.start()
            answers += [receive(end) for _ in range(COUNT)]  # type: ignore[misc]
        assert [one.slot for one in answers] == list(range(COUNT))
        assert not any(one.error or one.late for one in answers), answers
        assert on_card.most == (2 if at_once else 1)
        painted = [buffers.read(one.buffer) if one.painted else None for one in answers]
    assert_same(painted, on_the_cpu(tiny_bundle))
