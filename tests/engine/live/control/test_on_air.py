"""The page of a real channel between two ends of UDP: what is told holds on air, and ends well."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import psutil
import pytest

from keeprt.engine.live.options import LiveOptions
from keeprt.engine.live.status import Settings
from tests.engine.live.clients import HOST, NEEDS_FFMPEG, Running, Tap, free_port, sender
from tests.engine.live.control.test_server import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [NEEDS_FFMPEG, pytest.mark.slow]
CODE = """
import sys
from keeprt.engine.live.options import LiveOptions
from keeprt.engine.live.wire.run import run
stand_in = [sys.executable, "-m", "tests.engine.live.stand_in"]
sys.exit(run(LiveOptions.read(sys.argv[1]), json_file=sys.argv[2], restorer=stand_in))
"""
WHITE, SIDE = 200, 24
TICKS = 3600  # of 90 kHz, at 25 frames a second


@contextlib.contextmanager
def on_air(into: int, out: int, page: int, folder: Path) -> Iterator[Running]:
    """A channel whose restorer paints a white corner."""
    options = LiveOptions(
        source=f"udp://{HOST}:{into}",
        sink=f"udp://{HOST}:{out}",
        delay="400ms",
        preset="ultrafast",
        settings=Settings(),
        control=f"{HOST}:{page}",
    )
    json_file = folder / "status.json"
    command = [sys.executable, "-c", CODE, options.text(), str(json_file)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    running = Running(process, json_file)
    assert process.stderr is not None
    lines = iter(process.stderr.readline, "")
    reader = threading.Thread(target=lambda: running.said.extend(lines), daemon=True)
    reader.start()
    try:
        yield running
    finally:
        process.kill()
        process.wait()
        reader.join(2)


def ask(page: int, path: str, method: str = "GET", body: Any = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{HOST}:{page}{path}", data, method=method)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return dict(json.loads(answer.read()))


def corners(data: bytes) -> dict[int, bool]:
    """Of each picture that went out, by its number, whether its corner is white."""
    with av.open(io.BytesIO(data), format="mpegts") as container:
        pictures = [(frame.pts, frame) for frame in container.decode(video=0)]
    first = pictures[0][0]
    return {
        (pts - first) // TICKS: bool(frame.to_ndarray(format="gray")[:SIDE, :SIDE].min() > WHITE)
        for pts, frame in pictures
    }


def frame_said(text: str) -> int:
    found = re.search(r"holds from frame (\d+)", text)
    assert found, text
    return int(found[1])


def gone(pids: list[int]) -> bool:
    return not any(psutil.pid_exists(pid) for pid in pids)


def test_the_button_of_the_page_is_seen_in_the_output_from_the_frame_it_says(
    chromium: Browser, tmp_path: Path
) -> None:
    into, page = free_port(), free_port()
    with Tap() as after, on_air(into, after.port, page, tmp_path) as live, sender(into):
        after.wait(60)
        until(lambda: ask(page, "/api/status")["frames"].get("restored", 0) > 10, 60)
        browsers = [chromium.new_page(), chromium.new_page()]
        said: list[str] = []
        for one in browsers:
            one.on("console", lambda message: said.append(message.text))
            one.goto(f"http://{HOST}:{page}/")
            one.wait_for_function("() => document.getElementById('preview').dataset.frame")
        first, preview = browsers[0], browsers[0].locator("#preview")
        seen = preview.get_attribute("data-frame")
        first.wait_for_function(
            "seen => document.getElementById('preview').dataset.frame !== seen", arg=seen
        )
        first.locator("#bypass").click()
        told = first.locator("#said")
        first.wait_for_function(
            "() => document.getElementById('said').textContent.includes('Bypass holds')"
        )
        begins = frame_said(told.inner_text())
        until(lambda: ask(page, "/api/status")["frame"] > begins + 30, 60)
        ends = ask(page, "/api/settings", "PATCH", {"bypass": False})["frame"]
        until(lambda: ask(page, "/api/status")["frame"] > ends + 30, 60)
        children = [one.pid for one in psutil.Process(live.process.pid).children(recursive=True)]
        assert len(children) == 2
        code, _ = live.ends()  # with two previews open
        assert code == 0
        until(lambda: gone(children), 5)
        assert said == [] or all("WebSocket" in one for one in said), said
        for one in browsers:
            one.close()
    white = corners(b"".join(after.data))
    assert set(after.steps) == {TICKS}
    assert not [number for number in range(begins, ends) if white.get(number)]
    assert any(white[number] for number in range(begins - 40, begins))
    assert any(white.get(number) for number in range(ends, ends + 30))


def test_a_killed_wire_leaves_no_process_and_no_port(tmp_path: Path) -> None:
    into, page = free_port(), free_port()
    with Tap() as after, on_air(into, after.port, page, tmp_path) as live, sender(into):
        after.wait(20)
        until(lambda: ask(page, "/api/status")["worker"]["state"] == "ready", 60)
        children = [one.pid for one in psutil.Process(live.process.pid).children(recursive=True)]
        assert len(children) == 2
        os.kill(live.process.pid, signal.SIGKILL)
        live.process.wait()
        until(lambda: gone(children), 10)
        for kind, port in ((socket.SOCK_STREAM, page), (socket.SOCK_DGRAM, into)):
            with socket.socket(socket.AF_INET, kind) as again:
                again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                again.bind((HOST, port))


def test_a_killed_control_process_costs_no_frame_and_comes_back(tmp_path: Path) -> None:
    into, page = free_port(), free_port()
    with Tap() as after, on_air(into, after.port, page, tmp_path) as live, sender(into):
        after.wait(20)
        until(lambda: ask(page, "/api/status")["worker"]["state"] == "ready", 60)
        children = psutil.Process(live.process.pid).children()
        (control,) = [one for one in children if "keeprt.engine.live.control" in one.cmdline()]
        control.kill()
        time.sleep(0.5)

        def answers() -> bool:
            with contextlib.suppress(OSError):
                return bool(ask(page, "/api/status")["frame"])
            return False

        until(answers, 30)
        counted = len(after.pictures)
        after.wait(counted + 25)
        assert live.ends()[0] == 0
        assert live.status["frames"].get("repeat", 0) == 0
    assert set(after.steps) == {TICKS}
    assert any("the control process ended" in line for line in live.said)


def test_another_bundle_is_taken_in_the_middle_and_no_frame_is_missing(tmp_path: Path) -> None:
    into, page = free_port(), free_port()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "manifest.json").touch()
    with Tap() as after, on_air(into, after.port, page, tmp_path) as live, sender(into):
        after.wait(20)
        until(lambda: ask(page, "/api/status")["frames"].get("restored", 0) > 10, 60)
        worker = ask(page, "/api/status")["worker"]
        with pytest.raises(urllib.error.HTTPError, match="409"):
            ask(page, "/api/reload", "POST", {"bundle": str(tmp_path / "none")})
        told = ask(page, "/api/reload", "POST", {"bundle": str(tmp_path / "other")})
        live.wait("restored by")
        until(lambda: ask(page, "/api/status")["worker"]["pid"] != worker["pid"], 30)
        restored = ask(page, "/api/status")["frames"]["restored"]
        until(lambda: ask(page, "/api/status")["frames"]["restored"] > restored + 10, 60)
        assert ask(page, "/api/status")["worker"]["bundle"] == str(tmp_path / "other")
        assert told["frame"] > 0
        assert live.ends()[0] == 0
        assert live.status["frames"].get("repeat", 0) == 0
    assert set(after.steps) == {TICKS}
