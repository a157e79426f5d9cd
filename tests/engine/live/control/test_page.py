"""The page in a real Chromium: it moves, it obeys, it asks nobody else, it says when it is old."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from keeprt.engine.live.states import State
from tests.engine.live.control.stand_in import StandIn
from tests.engine.live.control.test_server import TOKEN, serves, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow


@dataclass
class Opened:
    """A page, and what it said and asked for."""

    page: Page
    said: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


Open = Callable[..., Opened]


@pytest.fixture(scope="module")
def wire() -> Iterator[StandIn]:
    with StandIn() as running:
        until(lambda: serves(running))
        yield running


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Open]:
    opened: list[Opened] = []

    def open_it(wire: StandIn, width: int = 1280) -> Opened:
        page = chromium.new_context(viewport={"width": width, "height": 900}).new_page()
        one = Opened(page)
        page.on("console", lambda message: one.said.append(message.text))
        page.on("pageerror", lambda error: one.said.append(str(error)))
        page.on("request", lambda request: one.requests.append(request.url))
        page.on("websocket", lambda socket: one.requests.append(socket.url))
        page.goto(wire.control.url)
        opened.append(one)
        return one

    yield open_it
    for one in opened:
        one.page.context.close()


def waits(page: Page, holds: str, argument: Any = None) -> None:
    page.wait_for_function(holds, arg=argument, timeout=30_000)


def pressed(page: Page, value: bool) -> None:
    waits(
        page,
        "value => document.getElementById('bypass').ariaPressed === value",
        str(value).lower(),
    )


@pytest.mark.parametrize("width", [1280, 390])
def test_the_preview_moves_and_nothing_is_asked_of_others(
    wire: StandIn, open_page: Open, width: int
) -> None:
    one = open_page(wire, width)
    page = one.page
    waits(page, "() => document.getElementById('preview').dataset.frame")
    first = page.locator("#preview").get_attribute("data-frame")
    waits(page, "first => document.getElementById('preview').dataset.frame !== first", first)
    assert page.locator("#state").inner_text() == "live"
    content, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert content <= window
    own = wire.control.url.removeprefix("http://")
    assert all(own in url or url.startswith("blob:") for url in one.requests), one.requests
    assert one.said == []


def test_button_and_key_bypass_and_the_other_controls_reach_the_wire(
    wire: StandIn, open_page: Open
) -> None:
    page = open_page(wire).page
    pressed(page, False)
    page.locator("#bypass").click()
    pressed(page, True)
    assert wire.status.settings.bypass
    page.keyboard.press("b")
    pressed(page, False)
    waits(page, "() => document.getElementById('said').textContent.includes('from frame')")
    page.keyboard.press("ArrowDown")
    until(lambda: wire.status.settings.strength == 0.95)
    page.keyboard.press("a")
    until(lambda: wire.status.settings.faces == "all")
    page.keyboard.press("2")
    until(lambda: [said[0] for said in wire.commands[-1:]] == ["choose"])
    assert wire.commands[-1][1]["x"] == pytest.approx(0.65)
    page.get_by_role("radio", name="Largest").click()
    until(lambda: wire.status.settings.faces == "largest")


def test_stopping_asks_first(wire: StandIn, open_page: Open) -> None:
    page = open_page(wire).page
    pressed(page, False)
    page.locator("#stop").click()
    page.get_by_role("button", name="Cancel").click()
    page.locator("#stop").click()
    assert wire.commands[-1:] == [] or wire.commands[-1][0] != "stop"
    page.get_by_role("button", name="Stop the channel").click()
    until(lambda: [said[0] for said in wire.commands[-1:]] == ["stop"])


def test_text_of_a_source_is_text(wire: StandIn, open_page: Open) -> None:
    one = open_page(wire)
    wire.event("source lost", "<img src=x onerror=alert(1)>", "error")
    waits(one.page, "() => document.getElementById('events').textContent.includes('onerror')")
    assert one.page.locator("#events img").count() == 0
    assert one.said == []


def test_loss_is_shown_and_silence_is_not_taken_for_air(wire: StandIn, open_page: Open) -> None:
    page = open_page(wire).page
    before = wire.status
    wire.status = replace(before, state=State.SLATE, cover="slate")
    waits(page, "() => document.querySelector('#ladder .now')?.textContent.startsWith('slate')")
    wire.silent = True
    waits(page, "() => !document.getElementById('alarm').hidden")
    assert page.locator("#state").inner_text() == "no contact"
    wire.silent, wire.status = False, replace(before, frame=wire.status.frame)
    waits(page, "() => document.getElementById('alarm').hidden")


def test_a_browser_is_asked_for_the_token_once(open_page: Open, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text(TOKEN)
    with StandIn(secret) as wire:
        until(lambda: serves(wire))
        one = open_page(wire)
        one.page.get_by_label("Token").fill("wrong")
        one.page.get_by_role("button").click()
        one.page.get_by_text("That is not the token.").wait_for()
        one.page.get_by_label("Token").fill(TOKEN)
        one.page.get_by_role("button").click()
        waits(one.page, "() => document.getElementById('preview')?.dataset.frame")
        assert TOKEN not in " ".join([one.page.url, *one.requests, one.page.content()])
