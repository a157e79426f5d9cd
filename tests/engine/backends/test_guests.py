"""keeprt as a guest of PyCUDA, CuPy and torch: the README's examples, and the caller's stream."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from keeprt.engine import Restorer, load_bundle, opening
from keeprt.kernels.frame import FrameFormat

from ...networks import faces
from ...video_frames import moving_faces, video
from .card_in_host_memory import HostCard, HostEngines, OnCard

GUESTS = Path(__file__).parents[1] / "guests"
ROOT = Path(__file__).parents[3]
NAMES = ("pycuda", "cupy", "torch")
DECLARED = """
from typing import Any
import numpy as np
from numpy.typing import NDArray
pictures: list[NDArray[np.uint8]] = []
frames: list[tuple[Any, NDArray[np.float64]]] = []
"""


def stand_ins() -> dict[str, Any]:
    """What the examples use of the three libraries, on the stand-in card."""

    class Stream:
        ptr = 77

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
    current = SimpleNamespace(cuda_stream=88)
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


@pytest.mark.parametrize("name", NAMES)
def test_the_example_runs_on_the_stand_in_card(
    card: HostCard, tiny_bundle: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every name it uses of ours is there, and it ends where the CPU ends."""
    bundle = load_bundle(tiny_bundle)
    text = (GUESTS / f"{name}.txt").read_text().replace('"bundle"', repr(str(tiny_bundle)))
    format = FrameFormat("nv12", 192, 144)
    loaded = SimpleNamespace(bundle=bundle)
    pictures = faces(3, seed=1)
    frames = [(f, moving_faces(loaded, i)[0]) for i, f in enumerate(video(format, 3))]
    with monkeypatch.context() as patched:
        for module, stand_in in stand_ins().items():
            patched.setitem(sys.modules, module, stand_in)
        patched.setattr(opening, "open_library", lambda *a, **how: HostEngines(bundle, card))
        patched.setattr("keeprt.engine.restorer.open_library", opening.open_library)
        patched.setattr("keeprt.engine.video_restorer.open_library", opening.open_library)
        names: dict[str, Any] = {"pictures": pictures, "frames": frames}
        exec(compile(text, f"{name}.txt", "exec"), names)
    assert names["state"].frames == 3
    if name == "torch":
        assert (names["frame"].picture != frames[-1][0]).any()
    else:
        assert names["face"].shape == pictures[0].shape
    given = {"pycuda": None, "cupy": 77, "torch": 88}[name]
    assert card.waited.count(("ours", given)) == (3 if given else 0)
    assert card.waited.count((given, "an event")) == (3 if given else 0)


def test_each_example_is_short() -> None:
    for name in NAMES:
        lines = (GUESTS / f"{name}.txt").read_text().splitlines()
        code = [line for line in lines if line and not line.startswith(("import ", "from "))]
        assert len(code) <= 6, name


def test_frames_wait_for_the_stream_that_writes_a_picture(
    card: HostCard, tiny_bundle: Path
) -> None:
    class Written(OnCard):
        @property
        def __cuda_array_interface__(self) -> dict[str, Any]:
            return super().__cuda_array_interface__ | {"stream": 5}

    bundle = load_bundle(tiny_bundle)
    restorer = Restorer(bundle, HostEngines(bundle, card))
    restorer.restore(Written(faces(1)[0]), restorer.new_state())
    assert ("ours", 5) in card.waited
    assert isinstance(restorer.new_state().arrays["restored"], np.ndarray)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_the_examples_are_right_by_their_types(tmp_path: Path) -> None:
    (tmp_path / "keeprt").mkdir()
    for package in ("engine", "kernels"):
        (tmp_path / "keeprt" / package).symlink_to(ROOT / package)
    for name in NAMES:
        text = (GUESTS / f"{name}.txt").read_text()
        (tmp_path / f"guest_{name}.py").write_text(DECLARED + text)
    (tmp_path / "guest_wrong.py").write_text(
        DECLARED + "from keeprt.engine import Restorer\nRestorer.load('bundle', lanes=3)\n"
    )
    modules = [word for name in (*NAMES, "wrong") for word in ("-m", f"guest_{name}")]
    command = [sys.executable, "-m", "mypy", "--python-version", "3.11"]
    command += ["--ignore-missing-imports", "--follow-imports", "silent"]
    done = subprocess.run([*command, *modules], cwd=tmp_path, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line.partition(":")[0] for line in lines] == ["guest_wrong.py"], done.stdout
