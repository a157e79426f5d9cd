"""Arrows between packages point one way, and the engine needs no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np
import pytest

from keeprt.engine import Restorer
from tests.networks import faces

ROOT = Path(__file__).parents[2]
PACKAGES = ("engine", "kernels", "export", "benchmarks")
# The rooms of the engine from the lowest floor up; `docs/architecture.md` draws them.
ROOMS = (
    "errors",
    "bundle",
    "faces",
    "state",
    "frame",
    "devices",
    "libraries",
    "media",
    "opening",
    "doctor",
    "summaries",
    "turns",
    "restorer",
    "video_restorer",
    "selftest",
    "pipeline",
    "live",
    "archive",
    "serving",
    "cli",
)

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


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return "keeprt." + ".".join(parts).removesuffix(".__init__")


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


def test_kernels_import_nothing_of_ours_but_kernels() -> None:
    for file in modules("kernels"):
        for name in imports(file):
            assert not within(name, "keeprt") or within(name, "keeprt.kernels"), (file, name)


def test_export_shares_nothing_with_the_engine_but_the_bundle() -> None:
    bundle = ("keeprt.engine.bundle", "keeprt.engine.errors")
    # Training looks for faces in videos as restoring does, or it would learn from other crops.
    looking = ("keeprt.engine.faces", "keeprt.engine.media", "keeprt.engine.pipeline")
    for file in modules("export"):
        in_training = (ROOT / "export" / "training") in file.parents
        allowed = bundle + looking if in_training else bundle
        for name in imports(file):
            if within(name, "keeprt.engine") and name != "keeprt.engine":
                assert any(within(name, module) for module in allowed), (file, name)
            # what to type for a missing extra lies on the lowest floor, for all
            if not within(name, "keeprt.kernels.installing"):
                assert name == "keeprt.kernels" or not within(name, "keeprt.kernels"), (file, name)
            assert not within(name, "keeprt.benchmarks"), (file, name)
            assert not within(name, "onnxruntime"), (file, name)


def test_onnx_runtime_is_reached_through_its_room_and_the_face_detector() -> None:
    for file in modules("engine"):
        for name in imports(file):
            if within(name, "onnxruntime"):
                allowed = file.parent.name in ("onnxruntime", "faces") or file.name == "upscaler.py"
                assert allowed, (file, name)


def test_ray_and_triton_are_imported_where_they_run_and_not_before() -> None:
    allowed = {
        "ray": ["on_ray.py"],
        "tritonclient": ["shared_pictures.py", "triton_client.py"],
        "triton_python_backend_utils": ["triton_model.py"],
    }
    found: dict[str, set[str]] = {library: set() for library in allowed}
    for file in (file for package in PACKAGES for file in modules(package)):
        for library in allowed:
            if any(within(name, library) for name in imports(file)):
                found[library].add(file.name)
                assert not any(within(name, library) for name in imports(file, at_load=True)), file
    assert {library: sorted(files) for library, files in found.items()} == allowed


def room_of(module: str) -> str | None:
    """The room of the engine that a module's name lies in, None outside the engine."""
    parts = module.split(".")
    return parts[2] if parts[:2] == ["keeprt", "engine"] and len(parts) > 2 else None


def arrows_up(room: str, names: Iterable[str]) -> list[str]:
    """Of the imported names those that are of a room above."""
    found = {name: room_of(name) for name in names}
    return [n for n, other in found.items() if other and ROOMS.index(other) > ROOMS.index(room)]


def test_a_room_imports_only_rooms_below_it() -> None:
    for file in modules("engine"):
        room = room_of(module_name(file))
        if room is not None:
            assert arrows_up(room, imports(file)) == [], file


def test_an_arrow_up_is_seen() -> None:
    assert arrows_up("frame", ["keeprt.engine.devices.cpu.frames"])
    assert arrows_up("bundle", ["keeprt.engine.bundle.specs", "keeprt.kernels.frame"]) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    files = {module_name(file): file for package in PACKAGES for file in modules(package)}
    graph: dict[str, set[str]] = {}
    for name, file in files.items():
        found = set(imports(file)) & files.keys()
        # `from package import module` is an arrow to the module alone.
        packages = {other.rpartition(".")[0] for other in found}
        graph[name] = found - packages - {name}
    TopologicalSorter(graph).prepare()


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
    names = {module_name(file) for file in files}
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
