"""The source distribution holds what a packager needs: the tests, the documents, the changelog."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.networks import ROOT

BUILD = "from setuptools.build_meta import build_sdist; print(build_sdist('dist'))"


@pytest.mark.slow
def test_the_sdist_holds_all_that_is_in_the_repository(tmp_path: Path) -> None:
    if int(version("setuptools").partition(".")[0]) < 77:
        pytest.skip("setuptools is older than pyproject.toml asks for")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    for name in names:
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / "src" / name)
    built = subprocess.run(
        [sys.executable, "-c", BUILD], cwd=tmp_path / "src", capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr[-2000:]
    (archive,) = (tmp_path / "src" / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as content:
        inside = {name.partition("/")[2] for name in content.getnames()}
    assert set(names) - {".gitignore"} <= inside
    metadata = (tmp_path / "src" / "keeprt.egg-info" / "PKG-INFO").read_text()
    assert "Author: The keeprt developers" in metadata
