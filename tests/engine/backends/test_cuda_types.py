"""The card's calls on cuda-core, checked against the type stubs that its wheel ships."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed"),
]

# cuda-core puts these names together at run time, which mypy does not follow.
ASSEMBLED = """
from cuda.core._memory._buffer import Buffer as Buffer
from cuda.core._memory._legacy import LegacyPinnedMemoryResource as LegacyPinnedMemoryResource
"""
PROBE = """
from cuda.core import Buffer, Stream
def right(buffer: Buffer, stream: Stream) -> None:
    buffer.copy_to(buffer, stream=stream)
def wrong(buffer: Buffer, stream: Stream) -> None:
    buffer.copy_to(buffer, stream)
    stream.wait_for(buffer)
"""


def test_the_card_s_calls_agree_with_the_stubs_of_cuda_core(tmp_path: Path) -> None:
    found = importlib.util.find_spec("cuda")
    folders = [Path(f) / "core" for f in (found.submodule_search_locations or ())] if found else []
    outer = next((folder for folder in folders if (folder / "cu13").is_dir()), None)
    if outer is None:
        pytest.skip("cuda-core is not installed")
    merged = tmp_path / "cuda" / "core"
    merged.mkdir(parents=True)
    for entry in (outer / "cu13").iterdir():
        if entry.name not in ("__pycache__", "__init__.py"):
            (merged / entry.name).symlink_to(entry)
    names = (outer / "__init__.py").read_text(encoding="utf-8")
    (merged / "__init__.py").write_text(names + ASSEMBLED)
    (tmp_path / "keeprt").mkdir()
    for package in ("engine", "kernels"):
        (tmp_path / "keeprt" / package).symlink_to(ROOT / package)
    (tmp_path / "probe.py").write_text(PROBE)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")),
            *("--cache-dir", str(tmp_path / "cache"), "-m", "probe"),
            *("-m", "keeprt.engine.backends.cuda_restoring"),
            *("-m", "keeprt.engine.backends.cuda_video"),
        ],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("keeprt/engine/backends/")] == []
    probed = {line.split(":")[1] for line in lines if line.startswith("probe.py")}
    assert probed == {"6", "7"}, "the stubs were not seen, so nothing was checked"
