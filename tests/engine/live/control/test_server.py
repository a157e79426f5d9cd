"""The control process beside a stand-in for the wire: requests, tokens, sockets, its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

import aiohttp
import pytest

from keeprt.engine.live.control.pictures import RATE
from tests.engine.live.control.stand_in import AHEAD, HEIGHT, WIDTH, StandIn

TOKEN = "correct-horse-battery-staple"
REQUESTS = (
    ("GET", "/"),
    ("GET", "/page.js"),
    ("GET", "/api/status"),
    ("GET", "/metrics"),
    ("GET", "/api/events"),
    ("GET", "/preview"),
    ("PATCH", "/api/settings"),
    *(("POST", f"/api/{name}") for name in ("reset", "choose", "reload", "stop")),
)


def ask(
    wire: StandIn, path: str, method: str = "GET", body: Any = None, **headers: str
) -> tuple[int, dict[str, str], str]:
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(wire.control.url + path[1:], data, named, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


def until(holds: Callable[[], bool], within_s: float = 20.0) -> None:
    end_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end_s, "it never came true"
        time.sleep(0.02)


def serves(wire: StandIn) -> bool:
    try:
        return ask(wire, "/healthz")[0] == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def wire() -> Iterator[StandIn]:
    with StandIn() as running:
        until(lambda: serves(running))
        yield running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    secret = tmp_path_factory.mktemp("secret") / "token"
    secret.write_text(TOKEN + "\n")
    with StandIn(secret) as running:
        until(lambda: serves(running))
        yield running


def test_the_status_is_the_wires(wire: StandIn) -> None:
    status, headers, text = ask(wire, "/api/status")
    said = json.loads(text)
    assert status == 200
    assert said["state"] == "live"
    assert said["delay"]["parts_ms"] == dict(wire.status.delay.parts_ms)
    assert said["age_ms"] < 5000
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_a_setting_holds_from_the_frame_that_is_answered(wire: StandIn) -> None:
    before = wire.status.frame
    status, _, text = ask(wire, "/api/settings", "PATCH", {"strength": 0.25, "bypass": True})
    assert status == 200
    assert before + AHEAD <= json.loads(text)["frame"] <= wire.status.frame + AHEAD
    assert (wire.status.settings.strength, wire.status.settings.bypass) == (0.25, True)
    ask(wire, "/api/settings", "PATCH", {"bypass": False})


def test_each_command_reaches_the_wire(wire: StandIn) -> None:
    asked = (("reset", None), ("choose", {"x": 0.2, "y": 0.4}), ("reload", {"bundle": "b"}))
    for name, body in asked:
        assert ask(wire, f"/api/{name}", "POST", body)[0] == 200
        assert wire.commands[-1] == (name, body or {})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "why"),
    [
        ("PATCH", "/api/settings", {"strength": 3}, 400, "strength is 3: give a number"),
        ("PATCH", "/api/settings", b"{", 400, "the body is no JSON"),
        ("PATCH", "/api/settings", b"\xff\xfe", 400, "the body is no JSON"),
        ("PATCH", "/api/settings", b"[" * 50_000, 400, "the body is no JSON"),
        ("POST", "/api/reset", {"now": 1}, 400, "no value 'now'"),
        ("POST", "/api/reload", {"bundle": "nowhere"}, 409, "nowhere is no bundle"),
        ("POST", "/api/settings", {}, 405, "Method Not Allowed"),
        ("GET", "/nothing", None, 404, "Not Found"),
        ("GET", "/page/../../__init__.py", None, 404, "Not Found"),
        ("GET", "/api/events?after=x", None, 400, "after is no number"),
        ("GET", "/preview", None, 426, "this is a WebSocket"),
        ("PATCH", "/api/settings", b" " * 100_000, 413, HTTPStatus(413).phrase),
    ],
)
def test_what_cannot_be_done_is_one_line(
    wire: StandIn, method: str, path: str, body: Any, status: int, why: str
) -> None:
    got, _, text = ask(wire, path, method, body)
    assert (got, list(json.loads(text))) == (status, ["error"])
    assert json.loads(text)["error"].startswith(why)


def test_pages_of_others_and_names_of_others_are_refused(wire: StandIn) -> None:
    assert ask(wire, "/api/reset", "POST", {}, Origin="http://evil.example")[0] == 403
    assert ask(wire, "/api/status", Host="evil.example")[0] == 403
    ours = wire.control.url.rstrip("/")
    assert ask(wire, "/api/reset", "POST", {}, Origin=ours)[0] == 200


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_unauthorised_is_401_and_with_the_token_it_is_not(
    guarded: StandIn, method: str, path: str
) -> None:
    known = len(guarded.commands)
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": f"keeprt_session={TOKEN}"}):
        assert ask(guarded, path, method, **headers)[0] == 401
    assert ask(guarded, f"{path}?token={TOKEN}", method)[0] == 401
    assert len(guarded.commands) == known
    allowed = ask(guarded, path, method, Authorization=f"Bearer {TOKEN}")
    assert allowed[0] != 401
    assert TOKEN not in str(allowed)


def test_a_browser_logs_in_once_and_the_token_is_in_no_answer(guarded: StandIn) -> None:
    async def log_in() -> str:
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(guarded.control.url, cookie_jar=jar) as browser:
            first = await browser.get("/", headers={"Accept": "text/html"})
            wrong = await browser.post("/login", data={"token": "wrong"})
            assert (first.status, wrong.status) == (401, 401)
            page = await browser.post("/login", data={"token": TOKEN})
            assert page.status == 200
            async with browser.ws_connect("/api/events?status=1") as events:
                kinds = {(await events.receive_json())["kind"] for _ in range(2)}
            assert "status" in kinds
            answers = [str(page.history), str(page.headers), await page.text(), await first.text()]
            return " ".join([*answers, *map(str, jar)])

    assert TOKEN not in in_a_loop(log_in())


def in_a_loop(work: Coroutine[Any, Any, Any]) -> Any:
    """In a thread of its own: Playwright's browser, where one is open, has a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def sockets(wire: StandIn, use: Callable[[Any], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with aiohttp.ClientSession(wire.control.url) as session:
            return await asyncio.wait_for(use(session), 30)

    return in_a_loop(run())


def test_events_come_in_order_and_are_given_again_to_who_asks(wire: StandIn) -> None:
    for text in ("one", "two", "three"):
        wire.event("test", text)

    async def read(session: Any) -> list[dict[str, Any]]:
        async with session.ws_connect("/api/events") as events:
            return [await events.receive_json() for _ in range(3)]

    async def after(session: Any) -> dict[str, Any]:
        async with session.ws_connect(f"/api/events?after={last - 1}") as events:
            return dict(await events.receive_json())

    until(lambda: len(sockets(wire, read)) == 3)
    found = sockets(wire, read)
    assert [one["text"] for one in found] == ["one", "two", "three"]
    assert {one["kind"] for one in found} == {"event"}
    last = found[-1]["number"]
    assert sockets(wire, after)["text"] == "three"


def test_the_preview_moves_and_the_wire_is_asked_only_while_somebody_looks(wire: StandIn) -> None:
    import cv2
    import numpy as np

    async def look(session: Any) -> list[tuple[dict[str, Any], bytes]]:
        async with session.ws_connect("/preview") as pictures:
            return [(await pictures.receive_json(), await pictures.receive_bytes()) for _ in "12"]

    (first, jpeg), (second, _) = sockets(wire, look)
    assert second["frame"] > first["frame"]
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (HEIGHT, 2 * WIDTH, 3)
    assert picture[:, :WIDTH].mean() > 30 > picture[:, WIDTH + 8 :].mean()
    until(lambda: wire.rate == 0)
    looked = wire.pictures
    time.sleep(3 / RATE)
    assert 0 < looked == wire.pictures


@pytest.mark.slow
def test_a_wire_that_says_nothing_more_is_not_healthy() -> None:
    with StandIn(preview=False) as wire:
        until(lambda: serves(wire))
        assert ask(wire, "/readyz")[:1] + ask(wire, "/readyz")[2:] == (200, "ready\n")
        wire.silent = True
        until(lambda: ask(wire, "/healthz")[0] == 503)
        assert ask(wire, "/readyz")[2] == "not ready\n"
        status, _, text = ask(wire, "/api/reset", "POST")
        assert (status, json.loads(text)["error"][:26]) == (504, "the channel has not answer")


def hold_two_previews(wire: StandIn, then: Callable[[], Any]) -> list[int | None]:
    async def use(session: Any) -> list[int | None]:
        one, other = await session.ws_connect("/preview"), await session.ws_connect("/preview")
        await one.receive_json()
        watching = [asyncio.create_task(watch(socket)) for socket in (one, other)]
        await asyncio.to_thread(then)
        return await asyncio.gather(*watching)

    async def watch(socket: Any) -> int | None:
        async for _ in socket:
            pass
        return int(socket.close_code)

    return list(sockets(wire, use))


@pytest.mark.parametrize("how", ["SIGTERM", "the wire ends", "the wire is gone"])
def test_with_two_previews_open_it_ends_before_anybody_waits_for_it(how: str) -> None:
    with StandIn() as wire:
        until(lambda: serves(wire))
        process = wire.control._process
        assert process is not None

        def end() -> None:
            if how == "SIGTERM":
                process.send_signal(signal.SIGTERM)
            elif how == "the wire ends":
                wire.stop_thread()
                wire.control.close()
            elif wire.control.link is not None:
                wire.stop_thread()
                wire.control.link.close()
            process.wait(10)  # aiohttp alone would wait for a minute

        assert hold_two_previews(wire, end) == [1001, 1001]
        assert process.returncode == 0


def test_a_control_process_that_is_killed_comes_back_on_the_same_port() -> None:
    with StandIn(preview=False) as wire:
        until(lambda: serves(wire))
        first = wire.control.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        until(lambda: wire.control.pid not in (first, None) and serves(wire))


def test_ctrl_c_in_the_terminal_is_the_wires_to_hear() -> None:
    with StandIn(preview=False) as wire:
        until(lambda: serves(wire))
        process = wire.control._process
        assert process is not None
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        assert serves(wire)
