"""What is asked of TensorRT's contexts: by stand-ins that have the real classes' names only."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, Mock

import numpy as np
import pytest

from keeprt.engine import load_bundle
from keeprt.engine.devices.cuda.driver import Card
from keeprt.engine.devices.cuda.engines import Engines
from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.libraries.tensorrt import run as tensorrt
from keeprt.engine.libraries.tensorrt.calls import CudaCalls
from keeprt.engine.libraries.tensorrt.plan_store import Profile
from keeprt.engine.libraries.tensorrt.run import TensorRtBackend

trt = pytest.importorskip("tensorrt_rtx")

SCRATCH = 0x5000


class Stage:
    """The library with its engines mocked, and every context that was made."""

    def __init__(self) -> None:
        self.contexts: list[Any] = []
        self.config = Mock(spec=trt.IRuntimeConfig)
        self.engine = Mock(spec=trt.ICudaEngine)
        self.engine.device_memory_size_v2 = 1 << 20
        self.engine.create_runtime_config.return_value = self.config
        self.engine.create_execution_context.side_effect = self.context
        self.cache = Mock(spec=trt.IRuntimeCache)
        self.cache.serialize.return_value = b"compiled"
        self.config.create_runtime_cache.return_value = self.cache
        self.needs = 1 << 10
        self.module = SimpleNamespace(
            __version__="1",
            Logger=Mock(),
            Runtime=lambda logger: SimpleNamespace(deserialize_cuda_engine=lambda _: self.engine),
            ExecutionContextAllocationStrategy=trt.ExecutionContextAllocationStrategy,
            DynamicShapesKernelSpecializationStrategy=trt.DynamicShapesKernelSpecializationStrategy,
        )

    def context(self, config: Any) -> Any:
        assert config is self.config
        made = Mock(spec=trt.IExecutionContext)
        made.update_device_memory_size_for_shapes.side_effect = lambda: self.needs
        self.contexts.append(made)
        return made


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    stage, plan = Stage(), tmp_path / "a.plan"
    plan.touch()
    cuda = MagicMock(spec=CudaCalls)
    cuda.allocate.return_value = SCRATCH
    monkeypatch.setattr(tensorrt, "require_card", lambda i: Card(0, "Test Card", "sm89", 1 << 34))
    monkeypatch.setattr(tensorrt, "load_flavour", lambda kind: stage.module)
    monkeypatch.setattr(tensorrt, "CudaCalls", lambda device: cuda)
    monkeypatch.setattr(TensorRtBackend, "_find", lambda *_: plan)
    return stage


@pytest.fixture
def backend(stage: Stage, tiny_bundle: Path) -> TensorRtBackend:
    return TensorRtBackend(load_bundle(tiny_bundle), "rtx", Profile(faces=(1, 1, 2)))


def addresses(backend: TensorRtBackend, subgraph: str, start: int) -> dict[str, int]:
    spec = backend._specs[subgraph]
    return {t.name: start + 256 * i for i, t in enumerate((*spec.inputs, *spec.outputs))}


def test_each_binding_has_a_context_that_nobody_else_changes(
    stage: Stage, backend: TensorRtBackend
) -> None:
    """A captured graph holds only while its context is left alone."""
    before = len(stage.contexts)
    runs = [
        backend.bind("hq_encoder", addresses(backend, "hq_encoder", start), {"faces": faces})
        for start, faces in ((0x1000, 1), (0x1000, 2), (0x9000, 1))
    ]
    made = stage.contexts[before:]
    assert len(made) == 3
    for context, (start, faces) in zip(made, ((0x1000, 1), (0x1000, 2), (0x9000, 1)), strict=True):
        context.set_input_shape.assert_called_once_with("warped", (faces, 3, 128, 128))
        assert context.set_tensor_address.call_count == 2
        context.set_tensor_address.assert_any_call("warped", start)
        context.set_device_memory.assert_not_called()
        context.execute_async_v3.assert_not_called()
    runs[1](7)
    made[1].set_device_memory.assert_called_once_with(SCRATCH, 1 << 10)
    assert [c.execute_async_v3.call_args_list for c in made] == [[], [((7,),)], []]
    made[0].execute_async_v3.return_value = False
    with pytest.raises(BackendError, match="refused to run hq_encoder"):
        runs[0](7)
    with pytest.raises(UsageError, match="built for 1 to 2 faces, not 3"):
        backend.bind("hq_encoder", addresses(backend, "hq_encoder", 0), {"faces": 3})


def test_contexts_take_scratch_memory_of_ours_and_compile_at_once(
    stage: Stage, backend: TensorRtBackend
) -> None:
    backend.bind("hq_encoder", addresses(backend, "hq_encoder", 0), {"faces": 1})
    user = trt.ExecutionContextAllocationStrategy.USER_MANAGED
    stage.config.set_execution_context_allocation_strategy.assert_called_with(user)
    eager = trt.DynamicShapesKernelSpecializationStrategy.EAGER
    assert stage.config.dynamic_shapes_kernel_specialization_strategy == eager
    assert isinstance(backend, Engines)


def test_a_context_that_cannot_be_made_is_one_line(stage: Stage, tiny_bundle: Path) -> None:
    stage.engine.create_execution_context.side_effect = lambda config: None
    backend = TensorRtBackend(load_bundle(tiny_bundle), "rtx")
    with pytest.raises(BackendError, match="no GPU memory for hq_encoder"):
        backend.bind("hq_encoder", addresses(backend, "hq_encoder", 0), {"faces": 1})


def test_what_tensorrt_refuses_is_told(stage: Stage, backend: TensorRtBackend) -> None:
    for call, said in (("set_input_shape", "shape"), ("set_tensor_address", "address")):
        context = stage.context(stage.config)
        getattr(context, call).return_value = False
        stage.engine.create_execution_context.side_effect = lambda config, made=context: made
        with pytest.raises(BackendError, match=f"refuses.*{said}.* of hq_encoder.warped"):
            backend.bind("hq_encoder", addresses(backend, "hq_encoder", 0), {"faces": 1})


def test_sizes_beyond_the_profile_are_refused_before_anything_is_copied(
    stage: Stage, backend: TensorRtBackend
) -> None:
    """The device memory to copy to is as large as the profile's largest sizes."""
    faces, latents = np.zeros((3, 3, 128, 128), np.float32), np.zeros((3, 64, 4, 4), np.float32)
    with pytest.raises(UsageError, match="built for 1 to 2 faces, not 3; build with a larger --f"):
        backend.run("hq_encoder", {"warped": faces}, {"predicted": latents})
    cuda: Any = backend._cuda
    cuda.to_device.assert_not_called()


def test_a_stream_s_scratch_is_one_block_of_the_largest_size(
    stage: Stage, backend: TensorRtBackend
) -> None:
    backend.join({name: 5 if "encoder" in name else 6 for name in backend._specs})
    cuda: Any = backend._cuda
    cuda.allocate.reset_mock()
    runs = []
    for name, stage.needs in (("hq_encoder", 4096), ("lq_encoder", 1024), ("flow_features", 64)):
        runs.append(backend.bind(name, addresses(backend, name, 0), {"faces": 1}))
    for run in runs:
        run(5)
    assert [call.args for call in cuda.allocate.call_args_list] == [(4096,), (64,)]
    backend.close()
    cuda.free_all.assert_called_once_with()


def test_what_was_compiled_is_kept_and_a_stale_file_is_told(
    stage: Stage, backend: TensorRtBackend, tiny_bundle: Path, tmp_path: Path
) -> None:
    assert not list(tmp_path.glob("*.cache"))
    backend.warmed()
    (file,) = tmp_path.glob("*.cache")
    assert file.read_bytes() == b"compiled"
    stage.cache.deserialize.return_value = False
    with pytest.warns(UserWarning, match="another card, driver or version"):
        TensorRtBackend(load_bundle(tiny_bundle), "rtx")
