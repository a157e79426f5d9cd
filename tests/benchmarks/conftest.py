"""Reports opened in a real headless Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@dataclass
class OpenedReport:
    """A page, and what went wrong or out on the network while it was open."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def check(self) -> None:
        """No console message, no outside request, no picture that did not decode, no overflow."""
        outside = [url for url in self.requests if not url.startswith("data:")][1:]
        assert not self.complaints
        assert not outside
        pictures = self.page.eval_on_selector_all("img", "all => all.map(one => one.naturalWidth)")
        assert all(pictures)
        page, window = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert page <= window, f"the page is {page} pixels wide in a window of {window}"


@pytest.fixture
def open_report(chromium: Browser) -> Iterator[Callable[..., OpenedReport]]:
    """Opens a file: `open_report(path, width=1100, dark=False)`; checks it again at the end."""
    opened: list[OpenedReport] = []

    def open_file(path: Path, *, width: int = 1100, dark: bool = False) -> OpenedReport:
        scheme: Any = "dark" if dark else "light"
        page = chromium.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        report = OpenedReport(page)
        page.on("console", lambda message: report.complaints.append(message.text))
        page.on("pageerror", lambda error: report.complaints.append(str(error)))
        page.on("request", lambda request: report.requests.append(request.url))
        page.goto(path.resolve().as_uri())
        opened.append(report)
        return report

    yield open_file
    for report in opened:
        report.check()
        report.page.close()
