"""Puts a measured table into the place of a page that is marked for it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path


def where_and_when() -> str:
    """The line that stands before figures of this machine and day."""
    return f"Measured {date.today()}, {platform.machine()}, {os.cpu_count()} cores."


def write_table(page: Path, name: str, lines: Iterable[str]) -> None:
    """Writes today's table between the marks of its name; SystemExit where there are none."""
    text = "\n".join([where_and_when(), "", *lines])
    page.write_text(written(page.read_text("utf-8"), name, text), "utf-8")


def written(page: str, name: str, text: str) -> str:
    """The page with another table between the marks of its name."""
    begin, end = f"<!-- measured: {name} -->\n", "\n<!-- end -->"
    place = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    page, count = place.subn(lambda _: f"{begin}{text}{end}", page)
    if count != 1:
        raise SystemExit(f"the page has {count} places for {name!r}")
    return page
