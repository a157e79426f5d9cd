"""Extras compose: each combination that makes sense brings exactly one ONNX Runtime."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.long import LONG

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
COMBINATIONS = {
    "cpu": "onnxruntime",
    "cpu,rtx": "onnxruntime",
    "cpu,tensorrt": "onnxruntime",
    "cpu,export": "onnxruntime",
    "cpu,ray": "onnxruntime",
    "cpu,triton": "onnxruntime",
    "all": "onnxruntime",
    "all,test": "onnxruntime",
    "all,rtx,tensorrt": "onnxruntime",
    "gpu": "onnxruntime-gpu",
    "cuda": "onnxruntime-gpu",
    "gpu,export": "onnxruntime-gpu",
    "gpu,rtx": "onnxruntime-gpu",
    "gpu,rtx,tensorrt": "onnxruntime-gpu",
    "all-gpu": "onnxruntime-gpu",
    "all-gpu,test": "onnxruntime-gpu",
}
# What `keeprt restore` needs, and each of bench, verify and evaluate on top of it.
WHOLE = {"jinja2", "matplotlib", "onnx", "onnxscript", "scikit-image", "torch"}
# What `.ci/run` installs for the tests of the core, by name or in the train of these.
CORE = "cpu,demo,live"
BESIDE_IT = {"hypothesis", "ml-dtypes", "psutil", "pytest", "pytest-xdist", "setuptools"}
COLLECT = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))
import pytest
sys.exit(pytest.main(sys.argv[2:]))
"""
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def required(combination: str) -> set[str]:
    """Names of the distributions that extras ask for, through the extras that they name."""
    names = set()
    for extra in combination.split(","):
        for requirement in EXTRAS[extra]:
            if inner := re.fullmatch(r"keeprt\[([\w,-]+)\]", requirement):
                names |= required(inner[1])
            else:
                names.add(re.match(r"[\w-]+", requirement)[0])  # type: ignore[index]
    return names


def runtimes(names: set[str]) -> set[str]:
    return {name for name in names if name.startswith("onnxruntime")}


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_a_combination_asks_for_one_onnxruntime(combination: str) -> None:
    assert runtimes(required(combination)) == {COMBINATIONS[combination]}


@pytest.mark.parametrize("extra", ["all", "all-gpu"])
def test_everything_that_measuring_needs_is_in_all(extra: str) -> None:
    assert required(extra) >= WHOLE


@pytest.mark.parametrize("extra", ["gpu", "cuda"])
def test_the_runtime_for_cards_comes_with_its_libraries(extra: str) -> None:
    assert any(r.startswith("onnxruntime-gpu[cuda,cudnn]") for r in EXTRAS["gpu"])
    assert required(extra) >= {"cuda-core", "onnx"}


def test_the_lowest_versions_are_tried_and_typer_is_not_below_what_works() -> None:
    """`.ci/run` tests the core with them; `--help` of a command failed with typer 0.15."""
    lowest = subprocess.run(
        [sys.executable, ".ci/lowest.py", "cpu", "demo", "live"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert all(re.fullmatch(r"[\w\[\]-]+==[\d.]+", one) for one in lowest)
    typer = next(one for one in lowest if one.startswith("typer=="))
    assert tuple(map(int, typer.removeprefix("typer==").split("."))) >= (0, 19)
    assert "lowest.txt" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_the_tests_of_the_core_are_collected_with_what_it_installs_and_no_more() -> None:
    """Seen: a test of the engine that imported a writer of reports stopped that run."""
    absent = required("all,ray,test,triton") - required(CORE) - BESIDE_IT
    blocked = {
        module
        for module, names in packages_distributions().items()
        if absent & {*map(str.lower, names)}
    }
    options = ["--collect-only", "-qq", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            COLLECT,
            ",".join(blocked),
            *options,
            "tests/engine",
            "tests/kernels",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert {"jinja2", "torch"} <= blocked
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


@LONG
@pytest.mark.slow
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="torch 2.13 was seen with 3.11 alone")
@pytest.mark.parametrize("combination", ["cpu,rtx", "gpu,rtx", "all,test", "all-gpu"])
def test_pip_resolves_a_combination_to_one_onnxruntime(combination: str, tmp_path: Path) -> None:
    reached = subprocess.run(
        [*PIP, "download", "--quiet", "--no-deps", "--dest", tmp_path, "platformdirs"],
        capture_output=True,
        timeout=120,
    )
    if reached.returncode:
        pytest.skip("no package index can be reached")
    report = tmp_path / "report.json"
    options = ["--quiet", "--dry-run", "--ignore-installed", "--report", report]
    done = subprocess.run(
        [*PIP, "install", *options, f"{ROOT}[{combination}]"],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = {item["metadata"]["name"].lower() for item in json.loads(report.read_text())["install"]}
    assert runtimes(found) == {COMBINATIONS[combination]}
