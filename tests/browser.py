"""A real headless Chromium for tests of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)


# One for each module: while Playwright is started its event loop runs in this thread, and neither a
# second one nor asyncio.run() of another module's tests can begin.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if path is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


# Lines of text as they are drawn, without the space that a font keeps above and below its letters.
_OVERLAPS = """() => {
    const lines = [];
    const add = (text, boxes) => {
        for (const box of boxes) {
            const shrunk = [box.left + 1, box.top + box.height / 4,
                            box.right - 1, box.bottom - box.height / 4];
            if (shrunk[0] < shrunk[2] && shrunk[1] < shrunk[3]) lines.push([text, ...shrunk]);
        }
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode, parent = node.parentElement;
        if (!node.data.trim() || !parent.checkVisibility({visibilityProperty: true})) continue;
        if (parent.closest("script, style, title")) continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        add(node.data.trim(), range.getClientRects());
    }
    const found = [];
    lines.sort((a, b) => a[1] - b[1]);
    lines.forEach(([text, left, top, right, bottom], index) => {
        for (const [other, l, t, r, b] of lines.slice(index + 1)) {
            if (l >= right) break;
            if (t < bottom && b > top) found.push(`${text} | ${other}`);
        }
    });
    return found;
}"""


def overlaps(page: Page) -> list[str]:
    """Pairs of texts, with a bar between, that are drawn over each other."""
    found: list[str] = page.evaluate(_OVERLAPS)
    return found
