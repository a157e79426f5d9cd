"""Video networks of others: small made ones of each kind, in windows, whole, and by middles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from keeprt.benchmarks.evaluate.methods import DegradedClip
from keeprt.benchmarks.evaluate.onnx_clip import _reflected, onnx_clip_method, window_starts
from keeprt.engine.errors import BackendError, UsageError

Saved = Callable[..., Path]
SMALL, FACTOR, COUNT = 8, 4, 7


def clip_of(count: int = COUNT) -> DegradedClip:
    """Frames whose grey value tells their number."""
    small = [np.full((SMALL, SMALL, 3), 10 + 20 * n, np.uint8) for n in range(count)]
    large = [np.repeat(np.repeat(f, FACTOR, 0), FACTOR, 1) for f in small]
    return DegradedClip(small, large)


def enlarging(frames: int | str, *, middle: bool = False, shift: bool = False) -> dict[str, Any]:
    """A network (1, T, 3, h, w) -> (1, T, 3, 4h, 4w) by repetition; `middle` gives one frame of
    three, `shift` adds the mean of all frames of the window, so that windows can be told."""
    nodes: list[Any] = []
    given, size = "x", [1, frames, 3, SMALL, SMALL]
    if shift:
        nodes += [
            ("ReduceMean", ["x", "all"], ["mean"], {"keepdims": 1}),
            ("Mul", ["mean", "half"], ["added"], {}),
            ("Mul", ["x", "half"], ["scaled"], {}),
            ("Add", ["scaled", "added"], ["y0"], {}),
        ]
        given = "y0"
    out: list[Any] = [1, frames, 3, SMALL * FACTOR, SMALL * FACTOR]
    if middle:
        nodes += [("Gather", [given, "one"], ["chosen"], {"axis": 1})]
        nodes += [("Resize", ["chosen", "", "scales4"], ["out"], {"mode": "nearest"})]
        out = [1, 3, SMALL * FACTOR, SMALL * FACTOR]
    else:
        nodes += [
            ("Squeeze", [given, "zero"], ["flat"], {}),
            ("Resize", ["flat", "", "scales4"], ["large"], {"mode": "nearest"}),
            ("Unsqueeze", ["large", "zero"], ["out"], {}),
        ]
    constants = {
        "half": np.float32(0.5),
        "all": np.array([0, 1, 2, 3, 4]),
        "one": np.array(1),
        "zero": np.array([0]),
        "scales4": np.array([1, 1, FACTOR, FACTOR], np.float32),
    }
    used = {name for _, ins, _, _ in nodes for name in ins}
    constants = {name: value for name, value in constants.items() if name in used}
    return {"nodes": nodes, "inputs": {"x": size}, "outputs": {"out": out}, "constants": constants}


def restored(path: Path, options: str = "", count: int = COUNT) -> list[int]:
    """The grey values that come out."""
    method = onnx_clip_method(f"made={path}{options}", FACTOR, threads=1)
    frames = list(method.restore(clip_of(count)))
    assert all(f.shape == (SMALL * FACTOR, SMALL * FACTOR, 3) for f in frames)
    return [int(f[0, 0, 0]) for f in frames]


GREY = [10 + 20 * n for n in range(COUNT)]


def test_a_free_axis_takes_the_whole_clip_and_windows_where_asked(save_onnx: Saved) -> None:
    path = save_onnx("free", **enlarging("T"))
    assert restored(path) == GREY == restored(path, ",frames=3")
    assert restored(path, ",frames=3,overlap=1") == GREY
    assert restored(path, "", 1) == GREY[:1] and restored(path, ",frames=5", 2) == GREY[:2]
    told = onnx_clip_method(f"made={path},frames=3,overlap=1", FACTOR)
    assert told.meaning == "free.onnx, windows of 3 frames, 1 shared"
    assert onnx_clip_method(f"made={path}", FACTOR).meaning == "free.onnx, the whole clip at once"


def test_what_a_frame_sees_is_its_window(save_onnx: Saved) -> None:
    """Half of a frame plus half of its window's mean."""
    path = save_onnx("seeing", **enlarging("T", shift=True))
    mean = float(np.mean(GREY))
    assert restored(path) == pytest.approx([(g + mean) / 2 for g in GREY], abs=1)
    # windows 0-2, 3-5 and, to end with the clip, 4-6
    means = [np.mean(GREY[:3])] * 3 + [np.mean(GREY[3:6])] * 2 + [np.mean(GREY[4:])] * 2
    found = restored(path, ",frames=3")
    assert found == pytest.approx([(g + m) / 2 for g, m in zip(GREY, means, strict=True)], abs=1)


def test_a_fixed_axis_is_the_window(save_onnx: Saved) -> None:
    path = save_onnx("fixed", **enlarging(3))
    assert restored(path) == GREY and restored(path, "", 2) == GREY[:2]
    with pytest.raises(UsageError, match="takes 3 frames, not frames=5"):
        restored(path, ",frames=5")


def test_a_network_that_gives_the_middle_alone_sees_reflected_ends(save_onnx: Saved) -> None:
    path = save_onnx("edvr", **enlarging(3, middle=True))
    assert restored(path) == GREY
    assert [_reflected(n, 4) for n in range(-3, 8)] == [3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]
    free = save_onnx("free_middle", **enlarging("T", middle=True))
    with pytest.raises(UsageError, match="give an odd number of frames="):
        restored(free)
    assert restored(free, ",frames=3") == GREY


def test_windows_end_with_the_clip() -> None:
    assert window_starts(7, 3, 0) == [0, 3, 4]
    assert window_starts(7, 3, 1) == [0, 2, 4]
    assert window_starts(6, 3, 0) == [0, 3] and window_starts(3, 3, 2) == [0]


@pytest.mark.parametrize("kind", ["DeformConv", "GridSample"])
def test_operators_of_video_networks_run(tmp_path: Path, kind: str) -> None:
    """BasicVSR++'s alignment: deformable convolution by offsets, and a warp by a grid."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    frames = 2
    identity = np.zeros((3, 3, 3, 3), np.float32)
    identity[range(3), range(3), 1, 1] = 1
    line = (2 * np.arange(SMALL) + 1) / SMALL - 1
    grid = np.stack(np.meshgrid(line, line), -1).astype(np.float32)
    constants = {
        "w": identity,
        "offsets": np.zeros((frames, 18, SMALL, SMALL), np.float32),
        "grid": np.broadcast_to(grid, (frames, SMALL, SMALL, 2)).copy(),
        "zero": np.array([0]),
        "scales": np.array([1, 1, FACTOR, FACTOR], np.float32),
    }
    middle = (
        helper.make_node("DeformConv", ["flat", "w", "offsets"], ["moved"], pads=[1, 1, 1, 1])
        if kind == "DeformConv"
        else helper.make_node("GridSample", ["flat", "grid"], ["moved"], mode="linear")
    )
    nodes = [
        helper.make_node("Squeeze", ["x", "zero"], ["flat"]),
        middle,
        helper.make_node("Resize", ["moved", "", "scales"], ["large"], mode="nearest"),
        helper.make_node("Unsqueeze", ["large", "zero"], ["out"]),
    ]
    shapes = {"x": [1, frames, 3, SMALL, SMALL], "out": [1, frames, 3, 32, 32]}
    x, out = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items())
    used = {name for node in nodes for name in node.input}
    weights = [numpy_helper.from_array(v, k) for k, v in constants.items() if k in used]
    graph = helper.make_graph(nodes, kind, [x], [out], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    checker.check_model(model)
    save(model, tmp_path / "net.onnx")
    random = np.random.default_rng(0)
    small = [random.integers(0, 256, (SMALL, SMALL, 3), np.uint8) for _ in range(5)]
    large = [cv2.resize(f, (32, 32), interpolation=cv2.INTER_NEAREST) for f in small]
    method = onnx_clip_method(f"made={tmp_path / 'net.onnx'}", FACTOR, threads=1)
    found = list(method.restore(DegradedClip(small, [np.asarray(f, np.uint8) for f in large])))
    assert all((np.abs(a.astype(int) - b) <= 1).all() for a, b in zip(found, large, strict=True))


def test_other_signatures_and_sizes_are_refused(save_onnx: Saved) -> None:
    path = save_onnx(
        "single",
        nodes=[("Identity", ["x"], ["out"], {})],
        inputs={"x": [1, 3, SMALL, SMALL]},
        outputs={"out": [1, 3, SMALL, SMALL]},
    )
    with pytest.raises(UsageError, match=r"expected one input \(1, T, 3, h, w\)"):
        restored(path)
    same = save_onnx(
        "same_size",
        nodes=[("Identity", ["x"], ["out"], {})],
        inputs={"x": [1, "T", 3, SMALL, SMALL]},
        outputs={"out": [1, "T", 3, SMALL, SMALL]},
    )
    with pytest.raises(BackendError, match=r"gave 8 x 8 pixels for 8 x 8; .* by 4"):
        restored(same)
    good = save_onnx("good", **enlarging("T"))
    for options, said in (
        (",frames=0", "give a whole number from 1 on"),
        (",overlap=2", "needs windows of more frames"),
        (",frames=3,overlap=3", "needs windows of more frames"),
        (",depth=3", "there is no option depth"),
    ):
        with pytest.raises(UsageError, match=said):
            restored(good, options)
    with pytest.raises(UsageError, match=r"--onnx-clip 'stream=.*is one of keeprt's methods"):
        onnx_clip_method(f"stream={good}", FACTOR)
