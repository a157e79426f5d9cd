"""The ways of restoring: baselines as defined, per-frame mode without memory, files of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from keeprt.benchmarks.evaluate.clips import SharpClip, sharp_clips
from keeprt.benchmarks.evaluate.methods import OURS, DegradedClip, baselines, our_methods
from keeprt.benchmarks.evaluate.onnx_method import onnx_method
from keeprt.engine.bundle.load import load_bundle
from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.pipeline.aligned_clip import restored_faces
from keeprt.engine.restorer import Restorer
from keeprt.export.training.degradation import Degradation, compress, degrade
from tests.networks import faces, tiny_network

pytest.importorskip("skimage")

SIZE = 128
POOR = Degradation(1.5, 4, 4.0, 28, seed=2)


@pytest.fixture(scope="module")
def sharp() -> SharpClip:
    return next(sharp_clips([], 5, SIZE))


@pytest.fixture(scope="module")
def poor(sharp: SharpClip) -> DegradedClip:
    return DegradedClip.make(sharp, POOR)


def plain_clip(pictures: list[np.ndarray]) -> DegradedClip:
    return DegradedClip(pictures, pictures)


def same(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_networks_see_equation_9_and_bicubic_the_same_poor_file(
    sharp: SharpClip, poor: DegradedClip
) -> None:
    assert same(poor.input, degrade(sharp.frames, POOR, sharp.rate))
    assert poor.small[0].shape == (32, 32, 3)
    degraded, bicubic = baselines()
    assert (degraded.name, bicubic.name) == ("degraded", "bicubic")
    assert same(list(degraded.restore(poor)), poor.input)
    cubic = [cv2.resize(f, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for f in poor.small]
    assert same(list(bicubic.restore(poor)), cubic) and not same(cubic, poor.input)


def test_the_poor_file_went_through_the_codec(sharp: SharpClip) -> None:
    """Nothing but the codec is left of this degradation."""
    only_codec = DegradedClip.make(sharp, Degradation(0, 1, 0, 40))
    assert same(only_codec.small, compress(sharp.frames, 40, sharp.rate))
    assert not same(only_codec.small, sharp.frames)


@pytest.fixture(scope="module")
def ours(tiny_bundle: Path) -> dict[str, Any]:
    bundle = load_bundle(tiny_bundle)
    return {m.name: m for m in our_methods(bundle, threads=1, window=4, chunk=3)}


def test_per_frame_is_the_network_without_kalman_and_cfa(
    ours: dict[str, Any], poor: DegradedClip
) -> None:
    """Against the ablated PyTorch network over the whole clip: one that has no memory at all."""
    import torch

    from tests.goldens import to_clip

    network = tiny_network(kalman=False, cfa=False)
    with torch.no_grad():
        expected = network(to_clip(poor.input))[0].permute(0, 2, 3, 1).numpy()
    levels = np.clip((expected + 1) / 2 * 255, 0, 255)
    restored = np.array(list(ours["per-frame"].restore(poor)), np.float64)
    # rounding to 8 bits is half a level
    assert np.abs(restored - levels).max() < 0.51
    memory = np.array(list(ours["stream"].restore(poor)), np.float64)
    assert np.abs(memory[0] - levels[0]).max() < 0.51
    assert np.abs(memory[1:] - levels[1:]).mean() > 1


def test_per_frame_does_not_depend_on_other_frames(
    ours: dict[str, Any], poor: DegradedClip
) -> None:
    forwards = list(ours["per-frame"].restore(poor))
    backwards = list(ours["per-frame"].restore(plain_clip(poor.input[::-1])))
    assert same(forwards, backwards[::-1])


def test_stream_and_clip_are_the_restorers(
    ours: dict[str, Any], poor: DegradedClip, tiny_bundle: Path
) -> None:
    assert tuple(ours) == OURS
    for mode, settings in (("stream", {"window": 4}), ("clip", {"chunk": 3})):
        restorer = Restorer.load(tiny_bundle, mode=mode, threads=1, **settings)  # type: ignore[arg-type]
        expected = list(restored_faces(poor.input, restorer))
        # twice: nothing may stay behind from the clip before
        assert same(list(ours[mode].restore(poor)), expected)
        assert same(list(ours[mode].restore(poor)), expected)


def test_only_the_methods_that_were_asked_for(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    assert [m.name for m in our_methods(bundle, names=("clip",), threads=1)] == ["clip"]
    assert our_methods(bundle, names=()) == []
    with pytest.raises(UsageError, match="unknown method 'magic'"):
        our_methods(bundle, names=("magic",))


FACE = [1, 3, SIZE, SIZE]


def test_a_restorer_of_others_sees_and_gives_its_range(save_onnx: Any) -> None:
    """Halves its input: from -1..1 that is towards grey, from 0..1 towards black."""
    file = save_onnx(
        "half",
        [("Mul", ["x", "h"], ["y"], {})],
        {"x": ["n", 3, "s", "s"]},
        {"y": ["n", 3, "s", "s"]},
        {"h": np.float32(0.5)},
    )
    pictures = faces(3)
    clip = plain_clip(pictures)
    wanted = {
        f"half={file}": lambda x: (x - 127.5) / 2 + 127.5,
        f"half={file},range=0..1": lambda x: x / 2,
        f"half={file},range=0..255": lambda x: x / 2,
    }
    for text, meaning in wanted.items():
        method = onnx_method(text, SIZE)
        assert method.name == "half" and method.meaning == "half.onnx"
        restored = list(method.restore(clip))
        assert restored[0].dtype == np.uint8
        expected = meaning(np.array(pictures, np.float64))
        assert np.abs(np.array(restored) - expected).max() <= 0.51


def test_results_are_clamped_and_keep_their_channels(save_onnx: Any) -> None:
    file = save_onnx(
        "more",
        [("Add", ["x", "c"], ["y"], {})],
        {"x": FACE},
        {"y": FACE},
        {"c": np.array([[[[3.0]], [[0.0]], [[-3.0]]]], np.float32)},
    )
    picture = faces(1)[0]
    (restored,) = onnx_method(f"more={file}", SIZE).restore(plain_clip([picture]))
    assert (restored[..., 0] == 255).all() and (restored[..., 2] == 0).all()
    np.testing.assert_array_equal(restored[..., 1], picture[..., 1])


def test_half_precision_and_a_fidelity_weight(save_onnx: Any) -> None:
    from onnx import TensorProto

    kinds = dict.fromkeys(("x", "y"), TensorProto.FLOAT16) | {"w": TensorProto.DOUBLE}
    file = save_onnx(
        "weighted",
        [("Cast", ["w"], ["f"], {"to": TensorProto.FLOAT16}), ("Mul", ["x", "f"], ["y"], {})],
        {"x": FACE, "w": [1]},
        {"y": FACE},
        types=kinds,
    )
    pictures = faces(1)
    (whole,) = onnx_method(f"a={file},range=0..1", SIZE).restore(plain_clip(pictures))
    assert np.abs(whole.astype(int) - pictures[0]).max() <= 1
    (half,) = onnx_method(f"a={file},range=0..1,weight=0.5", SIZE).restore(plain_clip(pictures))
    assert np.abs(half - pictures[0] / 2).max() <= 1
    with pytest.raises(UsageError, match="weight=x is no number"):
        onnx_method(f"a={file},weight=x", SIZE)


def test_one_of_several_outputs_has_to_be_named(save_onnx: Any) -> None:
    file = save_onnx(
        "two",
        [("Identity", ["x"], ["y"], {}), ("Neg", ["x"], ["z"], {})],
        {"x": FACE},
        {"y": FACE, "z": FACE},
    )
    with pytest.raises(UsageError, match="choose by output=y or output=z"):
        onnx_method(f"a={file}", SIZE)
    pictures = faces(1)
    (negative,) = onnx_method(f"a={file},output=z", SIZE).restore(plain_clip(pictures))
    np.testing.assert_array_equal(negative, 255 - pictures[0])
    with pytest.raises(UsageError, match="an output q"):
        onnx_method(f"a={file},output=q", SIZE)


@pytest.mark.parametrize(
    "text", ["half.onnx", "=half.onnx", "a/b=half.onnx", "stream=half.onnx", "bicubic=half.onnx"]
)
def test_names_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--onnx"):
        onnx_method(text, SIZE)


def test_files_that_are_no_face_restorer_are_refused(save_onnx: Any, tmp_path: Path) -> None:
    small = save_onnx("small", [("Neg", ["x"], ["y"], {})], {"x": [1, 3, 64, 64]},
                      {"y": [1, 3, 64, 64]})  # fmt: skip
    with pytest.raises(UsageError, match=r"x \(1 x 3 x 64 x 64, float\).*expected.*128, 128"):
        onnx_method(f"a={small}", SIZE)
    other = save_onnx(
        "other",
        [("ReduceMean", ["x", "axes"], ["y"], {"keepdims": 0})],
        {"x": FACE},
        {"y": [1, 3]},
        {"axes": np.array([2, 3])},
    )
    with pytest.raises(UsageError, match="does not fit"):
        onnx_method(f"a={other}", SIZE)
    with pytest.raises(UsageError, match="no such ONNX file"):
        onnx_method(f"a={tmp_path / 'none.onnx'}", SIZE)


def test_a_restorer_that_gives_another_size_is_an_error(save_onnx: Any) -> None:
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    file = save_onnx(
        "shrinks",
        [("MaxPool", ["x"], ["y"], pool)],
        {"x": ["n", 3, "h", "w"]},
        {"y": ["n", 3, "a", "b"]},
    )
    with pytest.raises(BackendError, match=r"gave \(1, 3, 64, 64\)"):
        list(onnx_method(f"a={file}", SIZE).restore(plain_clip(faces(1))))
