"""The measured tables of docs/live.md, from real runs on this machine's loopback.

`python -m tests.engine.live.tables delays [--bundle DIR]` prints what was declared and what was
measured, `busy` the same while another program takes a core, `faults` what was seen on air. With
`--write docs/live.md` the table goes there, into the place that is marked for it.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from tests.engine.live.table_delays import delays
from tests.engine.live.table_faults import faults


def written(page: str, name: str, text: str) -> str:
    """The page with another table between the marks of its name."""
    begin, end = f"<!-- measured: {name} -->\n", "\n<!-- end -->"
    place = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    page, count = place.subn(lambda _: f"{begin}{text}{end}", page)
    if count != 1:
        raise SystemExit(f"the page has {count} places for {name!r}")
    return page


def lines_of(name: str, bundle: str | None) -> Iterator[str]:
    """A table."""
    if name == "faults":
        yield from faults(bundle)
    else:
        yield from delays(bundle, is_busy=name == "busy")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=("delays", "busy", "faults"))
    parser.add_argument("--bundle", help="folder of a bundle; without one only the wire is tried")
    parser.add_argument("--write", type=Path, help="the page that the table is written into")
    asked = parser.parse_args()
    where = f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores"
    found = [f"Measured {where}.\n"]
    print(found[0], flush=True)
    for line in lines_of(asked.table, asked.bundle):
        print(line, flush=True)
        found.append(line)
    if asked.write:
        page = asked.write.read_text("utf-8")
        asked.write.write_text(written(page, asked.table, "\n".join(found)), "utf-8")


if __name__ == "__main__":
    main()
