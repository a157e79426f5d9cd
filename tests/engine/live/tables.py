"""The measured tables of docs/live.md, from real runs on this machine's loopback.

`python -m tests.engine.live.tables delays [--bundle DIR]` prints what was declared and what was
measured, `busy` the same while another program takes a core, `faults` what was seen on air. With
`--write docs/live.md` the table goes there, into the place that is marked for it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from keeprt.benchmarks.measured_page import where_and_when, write_table
from tests.engine.live.table_delays import delays
from tests.engine.live.table_faults import faults


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
    print(where_and_when(), flush=True)
    found = []
    for line in lines_of(asked.table, asked.bundle):
        print(line, flush=True)
        found.append(line)
    if asked.write:
        write_table(asked.write, asked.table, found)


if __name__ == "__main__":
    main()
