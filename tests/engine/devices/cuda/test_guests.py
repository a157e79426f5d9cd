"""keeprt as a guest of PyCUDA, CuPy and torch: the programs of docs/deploying.md, and streams."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from keeprt.engine import load_bundle, opening
from keeprt.kernels.frame import FrameFormat
from tests.cuda_driver.engines import HostEngines
from tests.cuda_driver.session import ON_DRIVER
from tests.engine.devices.cuda.conftest import Card, OnCard
from tests.networks import faces
from tests.pages import guest_programs
from tests.video_frames import moving_faces, video

ROOT = Path(__file__).parents[4]
PROGRAMS = guest_programs()
NAMES = ("pycuda", "cupy", "torch")
DECLARED = """
from typing import Any
import numpy as np
from numpy.typing import NDArray
pictures: list[NDArray[np.uint8]] = []
frames: list[tuple[Any, NDArray[np.float64]]] = []
"""


def stand_ins(stream: int) -> dict[str, Any]:
    """What the examples use of the three libraries; `stream` is the caller's."""

    class Stream:
        ptr = stream

        def __init__(self, non_blocking: bool) -> None:
            assert non_blocking

        def __enter__(self) -> Stream:
            return self

        def __exit__(self, *error: object) -> None:
            pass

    def module(name: str, **content: Any) -> ModuleType:
        made = ModuleType(name)
        vars(made).update(content)
        return made

    gpuarray = module("pycuda.gpuarray", to_gpu=OnCard)
    context = module("pycuda.autoprimaryctx")
    current = SimpleNamespace(cuda_stream=stream)
    return {
        "pycuda": module("pycuda", gpuarray=gpuarray, autoprimaryctx=context, __path__=[]),
        "pycuda.autoprimaryctx": context,
        "pycuda.gpuarray": gpuarray,
        "cupy": module("cupy", asarray=OnCard, cuda=SimpleNamespace(Stream=Stream)),
        "torch": module(
            "torch",
            cuda=SimpleNamespace(current_stream=lambda: current),
            from_numpy=lambda array: SimpleNamespace(cuda=lambda: OnCard(array)),
        ),
    }


@ON_DRIVER
@pytest.mark.parametrize("name", NAMES)
def test_the_example_runs_on_the_driver_in_host_memory(
    card: Card, tiny_bundle: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every name it uses of ours is there, and it ends where the CPU ends."""
    bundle = load_bundle(tiny_bundle)
    text = PROGRAMS[name].replace('"bundle"', repr(str(tiny_bundle)))
    text = text.replace('"nv12", 1920, 1080', '"nv12", 192, 144')
    format = FrameFormat("nv12", 192, 144)
    loaded = SimpleNamespace(bundle=bundle)
    pictures = faces(3, seed=1)
    frames = [(f, moving_faces(loaded, i)[0]) for i, f in enumerate(video(format, 3))]
    with monkeypatch.context() as patched:
        from cuda.core import Device

        Device(0).set_current()
        stream = Device(0).create_stream()
        for module, stand_in in stand_ins(int(stream.handle)).items():
            patched.setitem(sys.modules, module, stand_in)
        patched.setattr(opening, "open_library", lambda *a, **how: HostEngines(bundle))
        patched.setattr("keeprt.engine.turns.open_library", opening.open_library)
        names: dict[str, Any] = {"pictures": pictures, "frames": frames}
        exec(compile(text, f"docs/deploying.md, {name}", "exec"), names)
    assert names["state"].frames == 3
    if name == "torch":
        assert (names["frame"].picture != frames[-1][0]).any()
    else:
        assert names["face"].shape == pictures[0].shape


def test_each_example_is_short() -> None:
    assert sorted(PROGRAMS) == sorted(NAMES)
    for name in NAMES:
        lines = PROGRAMS[name].splitlines()
        code = [line for line in lines if line and not line.startswith(("import ", "from "))]
        assert len(code) <= 6, name


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_the_examples_are_right_by_their_types(tmp_path: Path) -> None:
    (tmp_path / "keeprt").mkdir()
    for package in ("engine", "kernels"):
        (tmp_path / "keeprt" / package).symlink_to(ROOT / package)
    for name in NAMES:
        (tmp_path / f"guest_{name}.py").write_text(DECLARED + PROGRAMS[name])
    (tmp_path / "guest_wrong.py").write_text(
        DECLARED + "from keeprt.engine import Restorer\nRestorer.load('bundle', lanes=3)\n"
    )
    modules = [word for name in (*NAMES, "wrong") for word in ("-m", f"guest_{name}")]
    command = [sys.executable, "-m", "mypy", "--python-version", "3.11"]
    command += ["--ignore-missing-imports", "--follow-imports", "silent"]
    done = subprocess.run([*command, *modules], cwd=tmp_path, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line.partition(":")[0] for line in lines] == ["guest_wrong.py"], done.stdout
