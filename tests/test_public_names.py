"""What `help()` and `dir()` show: a docstring for every public name, and the front doors' names."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from tests.networks import ROOT

FOLDERS = ("engine", "kernels", "export", "benchmarks")
FRONT_DOORS = {
    "keeprt.engine": {"Bundle", "FaceState", "Restorer", "VideoRestorer", "load_bundle"},
    "keeprt.export.model": {"FrameResult", "Keep", "KeepConfig", "RecurrentState"},
    "keeprt.export.checkpoint": {"checkpoint_digest", "load_checkpoint", "published_manifest"},
}


def module_names(folder: str) -> list[str]:
    files = sorted((ROOT / folder).rglob("*.py"))
    parts = (file.relative_to(ROOT).with_suffix("").parts for file in files)
    return [".".join(("keeprt", *p)).removesuffix(".__init__") for p in parts]


def undocumented(module: ModuleType) -> Iterator[str]:
    """Public names that a module defines and says nothing about."""
    if not module.__doc__:
        yield module.__name__
    for name, value in vars(module).items():
        defined = getattr(value, "__module__", None) == module.__name__
        if name.startswith("_") or not defined:
            continue
        if inspect.isclass(value):
            yield from (f"{module.__name__}.{name}.{member}" for member in _silent_members(value))
        # A dataclass without a docstring shows its signature instead.
        said = value.__doc__ and not value.__doc__.startswith(f"{name}(")
        if (inspect.isclass(value) or inspect.isfunction(value)) and not said:
            yield f"{module.__name__}.{name}"


def _silent_members(cls: type) -> Iterator[str]:
    for name, member in vars(cls).items():
        # A function of another name is a field's default; `forward` of a torch module is what the
        # class's docstring describes.
        method = inspect.isfunction(member) and member.__qualname__ == f"{cls.__name__}.{name}"
        asked = method or isinstance(member, property | classmethod)
        public = not name.startswith("_") and name != "forward"
        if asked and public and not inspect.getdoc(getattr(cls, name)):
            yield name


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_public_name_says_what_it_is(folder: str) -> None:
    missing = [name for m in module_names(folder) for name in undocumented(import_module(m))]
    assert missing == []


def test_a_name_without_a_word_is_seen() -> None:
    module = ModuleType("sample", "Has a docstring.")
    source = (
        "class Silent:\n    def method(self): ...\n"
        "class Told:\n    'Told.'\n    @property\n    def size(self): ...\n"
        "def function(): ...\n"
    )
    exec(source, vars(module))
    found = ["sample.Silent.method", "sample.Silent", "sample.Told.size", "sample.function"]
    assert list(undocumented(module)) == found


@pytest.mark.parametrize("name", FRONT_DOORS)
def test_a_front_door_lists_its_names(name: str) -> None:
    module: Any = import_module(name)
    assert set(module.__all__) == FRONT_DOORS[name] <= set(dir(module))
    for public in module.__all__:
        assert inspect.getdoc(getattr(module, public)), public


def test_dir_of_the_engine_is_its_public_names_before_any_is_loaded() -> None:
    code = "import keeprt.engine as e; print(*dir(e))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == FRONT_DOORS["keeprt.engine"]
