"""One example of each report, of the network that comes along: `docs/gallery.md` shows them.

python -m keeprt.benchmarks.report.gallery FOLDER
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

BENCH = "bench demo --threads 1 --rounds 5 --frames 5"
VERIFY = "verify demo --frames 32 --samples 8"
EVALUATE = "evaluate demo --out evaluated --frames 10 --level medium,heavy"
KEEPRT = "from keeprt.engine.cli import main; main()"
REPORTS = {"bench": BENCH, "verify": VERIFY, "evaluate": EVALUATE}


def commands() -> list[str]:
    """What is run, each in a folder of its own."""
    return [f"keeprt {words} --report {name}.html" for name, words in REPORTS.items()]


def make(folder: Path, names: Sequence[str] = tuple(REPORTS)) -> None:
    """Writes NAME.html of each. Raises CalledProcessError where one fails; `verify` ends with 1
    where a threshold does not hold, which is no failure of the report."""
    for name in names:
        words = [*REPORTS[name].split(), "--report", f"{name}.html"]
        with tempfile.TemporaryDirectory() as work:
            done = subprocess.run([sys.executable, "-c", KEEPRT, *words], cwd=work)
            page = Path(work) / f"{name}.html"
            if not page.is_file():
                done.check_returncode()
            (folder / page.name).write_bytes(page.read_bytes())


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes them all, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m keeprt.benchmarks.report.gallery")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", choices=[[], *REPORTS], default=[])
    given = parser.parse_args(arguments)
    make(given.folder, given.names or tuple(REPORTS))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
