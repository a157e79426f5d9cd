"""What is asked of TensorRT's contexts: by stand-ins that have the real classes' names only."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from keeprt.engine import load_bundle
from keeprt.engine.backends import tensorrt
from keeprt.engine.backends.cuda_device import Engines
from keeprt.engine.backends.tensorrt import TensorRtBackend
from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.nvidia_driver import Card
from keeprt.engine.plans import Profile

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
        self.module = SimpleNamespace(
            __version__="1",
            Logger=Mock(),
            Runtime=lambda logger: SimpleNamespace(deserialize_cuda_engine=lambda _: self.engine),
            ExecutionContextAllocationStrategy=trt.ExecutionContextAllocationStrategy,
            DynamicShapesKernelSpecializationStrategy=trt.DynamicShapesKernelSpecializationStrategy,
        )

    def context(self, config: Any) -> Any:
        assert config is self.config
        self.contexts.append(Mock(spec=trt.IExecutionContext))
        return self.contexts[-1]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    stage, plan = Stage(), tmp_path / "a.plan"
    plan.touch()
    cuda = Mock(spec=tensorrt._Cuda)
    cuda.allocate.return_value = SCRATCH
    monkeypatch.setattr(tensorrt, "require_card", lambda i: Card(0, "Test Card", "sm89", 1 << 34))
    monkeypatch.setattr(tensorrt, "load_flavour", lambda kind: stage.module)
    monkeypatch.setattr(tensorrt, "_Cuda", lambda device: cuda)
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
        context.set_device_memory.assert_called_once_with(SCRATCH, 1 << 20)
        context.execute_async_v3.assert_not_called()
    runs[1](7)
    assert [c.execute_async_v3.call_args_list for c in made] == [[], [((7,),)], []]
    made[0].execute_async_v3.return_value = False
    with pytest.raises(BackendError, match="refused to run hq_encoder"):
        runs[0](7)
    with pytest.raises(UsageError, match="built for 1 to 2 faces, not 3"):
        backend.bind("hq_encoder", addresses(backend, "hq_encoder", 0), {"faces": 3})


def test_contexts_take_scratch_memory_of_ours_and_compile_at_once(
    stage: Stage, backend: TensorRtBackend
) -> None:
    user = trt.ExecutionContextAllocationStrategy.USER_MANAGED
    stage.config.set_execution_context_allocation_strategy.assert_called_with(user)
    eager = trt.DynamicShapesKernelSpecializationStrategy.EAGER
    assert stage.config.dynamic_shapes_kernel_specialization_strategy == eager
    assert isinstance(backend, Engines)


def test_a_context_that_cannot_be_made_is_one_line(stage: Stage, tiny_bundle: Path) -> None:
    stage.engine.create_execution_context.side_effect = lambda config: None
    with pytest.raises(BackendError, match="no GPU memory for lq_encoder"):
        TensorRtBackend(load_bundle(tiny_bundle), "rtx")
