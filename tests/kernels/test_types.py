"""The calls on cuda-core, checked against the type stubs that its wheel ships."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed"),
]

PROBE = """
from cuda.core import Device, ObjectCode
def right(device: Device) -> str:
    return device.arch
def wrong(device: Device) -> None:
    ObjectCode.from_qubin(b"")
    device.arch + 1
"""


@pytest.fixture
def search_path(tmp_path: Path) -> Path:
    """cuda-core's outer module over the folder it takes its names from, beside our packages."""
    found = importlib.util.find_spec("cuda")
    folders = (
        [Path(folder) / "core" for folder in (found.submodule_search_locations or ())]
        if found
        else []
    )
    outer = next((folder for folder in folders if (folder / "cu13").is_dir()), None)
    if outer is None:
        pytest.skip("cuda-core is not installed")
    merged = tmp_path / "cuda" / "core"
    merged.mkdir(parents=True)
    for entry in (outer / "__init__.py", outer / "_version.py", *(outer / "cu13").iterdir()):
        target = merged / entry.name
        if not target.exists() and entry.name != "__pycache__":
            target.symlink_to(entry)
    (tmp_path / "keeprt").mkdir()
    for package in ("engine", "kernels"):
        (tmp_path / "keeprt" / package).symlink_to(ROOT / package)
    (tmp_path / "probe.py").write_text(PROBE)
    return tmp_path


def mypy(folder: Path, *targets: str) -> list[str]:
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


def test_calls_agree_with_the_stubs_of_cuda_core(search_path: Path) -> None:
    lines = mypy(search_path, "-p", "keeprt.kernels", "-m", "probe")
    assert [line for line in lines if line.startswith("keeprt/")] == []
    probed = [line.split(":")[1] for line in lines if line.startswith("probe.py")]
    assert probed == ["6", "7"], "the stubs were not seen, so nothing was checked"
