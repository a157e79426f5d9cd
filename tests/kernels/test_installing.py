"""The advice on what to install fits the installation at hand, and can be pasted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keeprt.kernels import installing
from keeprt.kernels.installing import (
    install,
    install_gpu_runtime,
    install_onnxruntime,
    without_place,
)

CLONE = Path("/src/keeprt")


class Distribution:
    def __init__(self, origin: dict[str, Any] | None) -> None:
        self.origin = origin

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self.origin is None else json.dumps(self.origin)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Plays an installation: what direct_url.json says, and which ONNX Runtimes are there."""

    def play(origin: dict[str, Any] | None, *runtimes: str) -> None:
        found = [Distribution(None), Distribution(origin)]  # a clone's egg-info comes first
        monkeypatch.setattr(installing, "distributions", lambda name: iter(found))
        monkeypatch.setattr(
            installing, "installed", lambda name: "1.30" if name in runtimes else None
        )

    return play


EDITABLE = {"url": CLONE.as_uri(), "dir_info": {"editable": True}}
WHEEL = {"url": "file:///tmp/keeprt-0.1.0-py3-none-any.whl", "archive_info": {}}
GIT = {"url": "https://host/keeprt", "vcs_info": {"vcs": "git", "commit_id": "abc"}}


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (EDITABLE, "pip install -e '/src/keeprt[export]'"),
        ({"url": CLONE.as_uri(), "dir_info": {}}, "pip install '/src/keeprt[export]'"),
        (WHEEL, "pip install 'keeprt[export] @ file:///tmp/keeprt-0.1.0-py3-none-any.whl'"),
        (GIT, "pip install 'keeprt[export] @ git+https://host/keeprt@abc'"),
        (None, "pip install 'keeprt[export]'"),
    ],
)
def test_the_command_names_where_this_installation_came_from(
    at: Any, origin: dict[str, Any] | None, expected: str
) -> None:
    at(origin)
    assert install("export") == expected


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (EDITABLE, "pip install -e '.[rtx]'"),
        (WHEEL, "pip install 'keeprt[rtx] @ keeprt-0.1.0-py3-none-any.whl'"),
        (GIT, "pip install 'keeprt[rtx] @ git+https://host/keeprt@abc'"),
        (None, "pip install 'keeprt[rtx]'"),
    ],
)
def test_what_others_read_says_nothing_of_where_it_is(
    at: Any, origin: dict[str, Any] | None, expected: str
) -> None:
    at(origin, "onnxruntime")
    assert without_place(f"{install('rtx')}; more") == f"{expected}; more"


def test_in_the_clone_itself_it_is_a_dot(
    at: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    at({"url": Path.cwd().as_uri(), "dir_info": {"editable": True}}, "onnxruntime")
    assert install("rtx") == "pip install -e '.[rtx]'"


@pytest.mark.parametrize(
    ("runtimes", "extras", "expected"),
    [
        ((), ["rtx"], "[cpu,rtx]"),  # the detector needs an ONNX Runtime
        (("onnxruntime",), ["rtx"], "[rtx]"),
        (("onnxruntime-gpu",), ["tensorrt"], "[tensorrt]"),
        (("onnxruntime-gpu",), ["all"], "[all-gpu]"),
        (("onnxruntime-gpu",), ["cpu"], "[gpu]"),
        (("onnxruntime",), ["all"], "[all]"),
    ],
)
def test_no_advice_brings_a_second_onnxruntime(
    at: Any, runtimes: tuple[str, ...], extras: list[str], expected: str
) -> None:
    at(None, *runtimes)
    assert install(*extras) == f"pip install 'keeprt{expected}'"


def test_the_runtime_for_cards_takes_the_others_place(at: Any) -> None:
    at(None, "onnxruntime")
    expected = "pip uninstall -y onnxruntime && pip install 'keeprt[gpu]'"
    assert install_gpu_runtime() == expected
    at(None)
    assert install_gpu_runtime() == "pip install 'keeprt[gpu]'"
    assert install_onnxruntime().startswith("pip install 'keeprt[cpu]', or ")


def test_every_extra_that_is_advised_exists() -> None:
    """Read off the sources: install("name") and need(module, "name")."""
    import re
    import tomllib

    root = Path(__file__).parents[2]
    extras = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"][
        "optional-dependencies"
    ]
    advised = set()
    for room in ("engine", "export", "kernels", "benchmarks"):
        for file in (root / room).rglob("*.py"):
            text = file.read_text("utf-8")
            advised |= set(re.findall(r"""\binstall\(["'](\w[\w-]*)["']\)""", text))
            advised |= set(re.findall(r"""\bneed\(\s*"[\w.]+",\s*"([\w-]+)"\s*\)""", text))
    assert {"cpu", "export", "kernels", "all"} <= advised <= set(extras)
    assert {*installing._FOR_GPU, *installing._FOR_GPU.values()} <= set(extras)
