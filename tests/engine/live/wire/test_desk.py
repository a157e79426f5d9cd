"""The operator's side of the wire: commands are obeyed or refused, statuses and events go out."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from keeprt.engine.live.link import Link
from keeprt.engine.live.memory import Memory
from keeprt.engine.live.options import LiveOptions
from keeprt.engine.live.preview import PREVIEW_BYTES, PreviewReader, PreviewWriter
from keeprt.engine.live.status import Answer, Command, Event, Settings, Status
from keeprt.engine.live.wire.channel import Channel
from keeprt.engine.live.wire.desk import Desk
from keeprt.engine.live.wire.report import status
from tests.engine.live.clients import HOST, NEEDS_FFMPEG, Tap, channel, free_port, sender
from tests.engine.live.ts.streams import stream


class Control:
    """The control process, as the desk sees it."""

    def __init__(self) -> None:
        self.link, theirs = Link.pair()
        self.theirs = Link.of(theirs.detach())
        self.writer = PreviewWriter(Memory.create(PREVIEW_BYTES))

    def keep(self, now_s: float) -> str | None:
        return None


def desk(restoring: Any = None) -> tuple[Desk, Control, list[str]]:
    options = LiveOptions("", "", delay="80ms", preset="ultrafast", settings=Settings(bypass=True))
    live, control, stopped = Channel(options, lambda data: None), Control(), list[str]()
    now = lambda: status(live, 0.0)  # noqa: E731
    one = Desk(live, now, lambda: stopped.append("stop"), control, restoring)  # type: ignore[arg-type]
    return one, control, stopped


def test_commands_are_answered_with_the_tick_from_which_they_hold() -> None:
    one, control, stopped = desk()
    control.theirs.send(Command(1, "set", {"strength": 0.5}))
    control.theirs.send(Command(2, "set", {"strength": 7}))
    control.theirs.send(Command(3, "reset"))
    control.theirs.send(Command(4, "fly"))
    control.theirs.send(Command(5, "stop"))
    control.theirs.send(Command(6, "set", {"bypass": False}))
    one.turn(0.0)
    answers = [m for m in control.theirs.receive() if isinstance(m, Answer)]
    assert [a.number for a in answers] == [1, 2, 3, 4, 5, 6]
    assert [bool(a.error) for a in answers] == [False, True, True, True, False, True]
    assert "from 0 to 1" in answers[1].error
    assert "without --bundle" in answers[2].error
    assert "without --bundle" in answers[5].error
    assert stopped == ["stop"]
    assert one.channel.settings == Settings(strength=0.5, bypass=True)


def test_status_and_events_go_out_and_again_to_one_that_is_new() -> None:
    one, control, _ = desk()
    one.channel.meters.event("info", "state", "a")
    one.turn(0.0)
    one.turn(0.1)
    seen = control.theirs.receive()
    assert [type(m) for m in seen] == [Event, Status]
    other = Control()
    control.link = other.link
    one.turn(0.3)
    assert [type(m) for m in other.theirs.receive()] == [Event, Status]


def test_the_preview_is_made_only_while_somebody_looks() -> None:
    from tests.engine.live.wire.test_simulated import Simulated

    run = Simulated()
    one, control, _ = desk()
    one.channel = run.channel
    run.feed(stream(40))
    reader = PreviewReader(control.writer.memory)
    one.turn(0.0)
    assert reader.read() is None
    control.theirs.send(Command(1, "preview", {"rate": 5}))
    one.turn(1.0)
    seen = reader.read()
    assert seen is not None
    assert (seen.width, seen.height) == (320, 180)
    assert seen.before == seen.after


def ask(url: str, values: dict[str, object] | None = None, method: str = "GET") -> dict[str, Any]:
    data = None if values is None else json.dumps(values).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return dict(json.loads(answer.read()))


@pytest.mark.slow
@NEEDS_FFMPEG
def test_the_page_of_a_running_channel_tells_and_is_obeyed() -> None:
    pytest.importorskip("aiohttp")
    pytest.importorskip("prometheus_client")
    into, page = free_port(), free_port()
    with Tap() as after, sender(into):
        more = ("--delay", "200ms", "--bypass", "--preset", "ultrafast")
        control = ("--control", f"{HOST}:{page}")
        where = (f"udp://{HOST}:{into}", f"udp://{HOST}:{after.port}")
        with channel(*where, *more, *control) as live:
            after.wait(50)
            status_ = ask(f"http://{HOST}:{page}/api/status")
            assert status_["state"] == "bypassing"
            answer = ask(f"http://{HOST}:{page}/api/settings", {"strength": 0.5}, "PATCH")
            assert answer["frame"] > status_["frame"]
            with pytest.raises(urllib.error.HTTPError):
                ask(f"http://{HOST}:{page}/api/settings", {"strength": 5}, "PATCH")
            children = Path(f"/proc/{live.process.pid}/task/{live.process.pid}/children")
            [control_pid] = children.read_text().split()
            code, seconds = live.ends(signal.SIGTERM)
        assert (code, seconds < 2) == (0, True)
        assert not Path(f"/proc/{control_pid}").exists()


def test_a_first_state_began_when_the_channel_did() -> None:
    one, _, _ = desk()
    said = status(one.channel, 1e6)
    assert said.state_since_s == said.started_s > 0
