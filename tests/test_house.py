"""Rooms that a stranger finds: few files at engine's root, no folder that is a heap."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("engine", "export", "kernels", "benchmarks")
AT_THE_ROOT, IN_A_FOLDER = 8, 20


def test_engines_root_has_few_modules() -> None:
    modules = sorted(path.name for path in (ROOT / "engine").glob("*.py"))
    assert len(modules) <= AT_THE_ROOT, modules


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_is_a_heap(package: str) -> None:
    folders = [ROOT / package, *(path for path in (ROOT / package).rglob("*") if path.is_dir())]
    counts = {
        str(folder.relative_to(ROOT)): sum(path.is_file() for path in folder.iterdir())
        for folder in folders
        if folder.name != "__pycache__"
    }
    assert {name: count for name, count in counts.items() if count > IN_A_FOLDER} == {}
