"""Restorers on a GPU against the CPU: states, whole frames, device arrays, every library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine import Restorer, VideoRestorer
from keeprt.engine.bundle.specs import numpy_dtype
from keeprt.engine.libraries.onnxruntime.sessions import OnnxRuntimeBackend
from keeprt.engine.libraries.tensorrt.run import TensorRtBackend
from keeprt.kernels.frame import FrameFormat
from tests.gpu import NEEDS_GPU, build_tiny_plans
from tests.networks import faces
from tests.video_frames import moving_faces, video

pytestmark = NEEDS_GPU

WINDOW = 3
NV12 = FrameFormat("nv12", 192, 144)


@pytest.fixture
def plans(tiny_bundle: Path) -> Path:
    build_tiny_plans(tiny_bundle, WINDOW)
    return tiny_bundle


def close(found: list[Any], expected: list[Any]) -> None:
    for picture, right in zip(found, expected, strict=True):
        difference = np.abs(picture.astype(int) - right.astype(int))
        assert difference.mean() < 0.5 and np.percentile(difference, 99) <= 2


def run(restorer: Restorer, pictures: list[Any], state: Any) -> tuple[list[Any], Any]:
    restored = []
    for picture in pictures:
        face, state = restorer.restore(picture, state)
        restored.append(face)
    return restored, state


@pytest.mark.parametrize("name", ["lq_encoder", "flow_features", "flow_matching", "gain_net"])
def test_an_engine_says_what_onnx_runtime_says(tiny_bundle: Path, name: str) -> None:
    """The HQ encoder's is beside the builder's tests; the decoder is in every frame's."""
    bundle, profile = build_tiny_plans(tiny_bundle, WINDOW)
    spec, random = bundle.subgraphs[name], np.random.default_rng(0)
    axes = {"faces": 2, "frames": WINDOW, "selected": 1}
    inputs = {
        tensor.name: random.standard_normal(tensor.sized(**axes)).astype(numpy_dtype(tensor.dtype))
        for tensor in spec.inputs
    }
    if "selected" in inputs:
        inputs["selected"][:] = WINDOW - 1
    results = []
    for backend in (TensorRtBackend(bundle, "rtx", profile), OnnxRuntimeBackend(bundle)):
        outputs = {t.name: np.empty(t.sized(**axes), np.float32) for t in spec.outputs}
        backend.run(name, inputs, outputs)
        results.append(outputs)
    for tensor, right in results[1].items():
        error = np.linalg.norm(results[0][tensor] - right) / np.linalg.norm(right)
        assert error < 1e-4, tensor


@pytest.mark.parametrize("there_and_back", [("rtx", "onnxruntime"), ("onnxruntime", "rtx")])
def test_a_state_file_goes_on_on_the_other_device(
    plans: Path, tmp_path: Path, there_and_back: tuple[str, str]
) -> None:
    first, second = (Restorer.load(plans, name, window=WINDOW) for name in there_and_back)
    pictures = faces(8, seed=3)
    _, state = run(first, pictures[:4], first.new_state())
    state.save(tmp_path / "state.npz")
    expected, _ = run(first, pictures[4:], state)
    found, _ = run(second, pictures[4:], second.load_state(tmp_path / "state.npz"))
    close(found, expected)


def frames_of(restorer: VideoRestorer, frames: list[Any]) -> list[Any]:
    states, restored = [restorer.new_state(), restorer.new_state()], []
    for index, frame in enumerate(frames):
        maps = moving_faces(restorer, index)
        done, states = restorer.restore(frame, list(zip(maps, states, strict=True)))
        restored.append(done)
    return restored


def test_whole_frames_are_the_cpu_s(plans: Path) -> None:
    options = {"window": WINDOW, "max_faces": 2}
    on_card, cpu = (
        VideoRestorer.load(plans, NV12, name, **options) for name in ("rtx", "onnxruntime")
    )
    close(frames_of(on_card, video(NV12, 8)), frames_of(cpu, video(NV12, 8)))


def test_tensors_on_the_card_are_restored_in_place_on_the_caller_s_stream(plans: Path) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    options = {"window": WINDOW, "max_faces": 2}
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        guest = VideoRestorer.load(plans, NV12, "rtx", stream=stream.cuda_stream, **options)
        given = [torch.from_numpy(frame).cuda() for frame in video(NV12, 8)]
        found = [frame.cpu().numpy() for frame in frames_of(guest, given)]
    host = frames_of(VideoRestorer.load(plans, NV12, "rtx", **options), video(NV12, 8))
    for frame, right in zip(found, host, strict=True):
        np.testing.assert_array_equal(frame, right)


def test_onnx_runtime_s_cuda_provider_agrees_with_its_cpu_one(tiny_bundle: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has no CUDA provider")
    results = []
    for provider in ("cuda", "cpu"):
        restorer = Restorer.load(tiny_bundle, provider=provider, window=WINDOW)
        results.append(run(restorer, faces(8, seed=2), restorer.new_state())[0])
    close(*results)
