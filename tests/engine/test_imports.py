"""Arrows between packages point one way, and the engine needs no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from keeprt.engine import Restorer
from tests.networks import faces

ROOT = Path(__file__).parents[2]
PACKAGES = ("engine", "kernels", "export", "benchmarks")

BLOCKER = """
import sys
from importlib.abc import MetaPathFinder

class Blocker(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if any(name == b or name.startswith(b + ".") for b in BLOCKED):
            raise ModuleNotFoundError(f"{name} is not installed", name=name)

BLOCKED = ("torch", "onnxscript", "keeprt.export", "keeprt.benchmarks")
sys.meta_path.insert(0, Blocker())
"""

RESTORE = """
import numpy as np
from keeprt.engine import Restorer
frames = np.load(sys.argv[2])
restorer = Restorer.load(sys.argv[1], threads=1, window=3)
state, out = restorer.new_state(), []
for frame in frames:
    face, state = restorer.restore(frame, state)
    out.append(face)
np.save(sys.argv[3], np.stack(out))
loaded = [name for name in BLOCKED if name in sys.modules]
assert not loaded, loaded
"""


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(file: Path, *, at_load: bool = False) -> Iterator[str]:
    """Names of all modules that a file imports; `at_load` leaves out lazy and type-only ones."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if at_load and (lazy or typing):
            skipped.update(inner for inner in ast.walk(node) if inner is not node)
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide the package"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("package", ["engine", "kernels"])
def test_the_deployment_side_never_imports_the_export_sides_libraries(package: str) -> None:
    for file in modules(package):
        for name in imports(file):
            assert not any(within(name, lib) for lib in ("torch", "onnxscript")), (file, name)


def test_the_engine_reaches_export_and_benchmarks_only_from_a_command_that_needs_them() -> None:
    for file in modules("engine"):
        in_cli = (ROOT / "engine" / "cli") in file.parents
        for name in imports(file, at_load=in_cli):
            for package in ("keeprt.export", "keeprt.benchmarks"):
                assert not within(name, package), (file, name)


def test_kernels_know_only_the_errors_of_the_engine() -> None:
    for file in modules("kernels"):
        for name in imports(file):
            if within(name, "keeprt.engine"):
                assert within(name, "keeprt.engine.errors"), (file, name)
            assert not within(name, "keeprt.export"), (file, name)
            assert not within(name, "keeprt.benchmarks"), (file, name)


def test_export_shares_nothing_with_the_engine_but_the_bundle() -> None:
    allowed = ("keeprt.engine.bundle", "keeprt.engine.errors")
    for file in modules("export"):
        for name in imports(file):
            if within(name, "keeprt.engine") and name != "keeprt.engine":
                assert any(within(name, module) for module in allowed), (file, name)
            assert not within(name, "keeprt.kernels"), (file, name)
            assert not within(name, "keeprt.benchmarks"), (file, name)
            assert not within(name, "onnxruntime"), (file, name)


def test_onnx_runtime_is_reached_through_its_backend_and_the_face_detector() -> None:
    for file in modules("engine"):
        for name in imports(file):
            if within(name, "onnxruntime"):
                allowed = file.parent.name in ("backends", "faces") or file.name == "upscaler.py"
                assert allowed, (file, name)


def run(code: str, *arguments: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", BLOCKER + code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr


def test_the_blocker_blocks() -> None:
    with pytest.raises(AssertionError, match="torch is not installed"):
        run("import torch")


def test_everything_in_the_engine_imports_without_torch() -> None:
    files = [file for package in ("engine", "kernels") for file in modules(package)]
    names = {
        "keeprt." + ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for file in files
    }
    run(f"from importlib import import_module\nfor name in {sorted(names)}: import_module(name)")


def test_a_clip_is_restored_without_torch(tiny_bundle: Path, tmp_path: Path) -> None:
    clip = np.stack(faces(3))
    np.save(tmp_path / "in.npy", clip)
    run(RESTORE, str(tiny_bundle), str(tmp_path / "in.npy"), str(tmp_path / "out.npy"))
    restorer = Restorer.load(tiny_bundle, threads=1, window=3)
    state = restorer.new_state()
    for frame, expected in zip(clip, np.load(tmp_path / "out.npy"), strict=True):
        face, state = restorer.restore(frame, state)
        assert np.array_equal(face, expected)
