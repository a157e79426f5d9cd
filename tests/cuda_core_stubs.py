"""Our packages beside cuda-core's stubs, laid out so that mypy sees the calls on it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# cuda-core puts these names together at run time, which mypy does not follow.
ASSEMBLED = """
from cuda.core._memory._buffer import Buffer as Buffer
from cuda.core._memory._legacy import LegacyPinnedMemoryResource as LegacyPinnedMemoryResource
"""


def lay_out(folder: Path, probe: str) -> None:
    """Fills a folder with cuda-core's names over the folder that it takes them from, our packages,
    and a module `probe`; skips the test where cuda-core is not installed.
    """
    found = importlib.util.find_spec("cuda")
    folders = [Path(f) / "core" for f in (found.submodule_search_locations or ())] if found else []
    outer = next((folder for folder in folders if (folder / "cu13").is_dir()), None)
    if outer is None:
        pytest.skip("cuda-core is not installed")
    merged = folder / "cuda" / "core"
    merged.mkdir(parents=True)
    for entry in (outer / "_version.py", *(outer / "cu13").iterdir()):
        target = merged / entry.name
        if not target.exists() and entry.name not in ("__pycache__", "__init__.py"):
            target.symlink_to(entry)
    names = (outer / "__init__.py").read_text(encoding="utf-8")
    (merged / "__init__.py").write_text(names + ASSEMBLED)
    (folder / "keeprt").mkdir()
    for package in ("engine", "kernels"):
        (folder / "keeprt" / package).symlink_to(ROOT / package)
    (folder / "probe.py").write_text(probe)


def mypy(folder: Path, *targets: str) -> list[str]:
    """What mypy says of the targets, line by line."""
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    done = subprocess.run(
        [*command, "--cache-dir", str(folder / "cache"), *targets],
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()
