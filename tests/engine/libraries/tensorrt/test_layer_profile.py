"""Layers and their times as files for NVIDIA's engine explorer, from stand-ins of the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from keeprt.engine import load_bundle
from keeprt.engine.errors import BackendError
from keeprt.engine.libraries.tensorrt.layer_profile import layer_recorder, profile_records
from keeprt.engine.libraries.tensorrt.run import PROFILE_WARM_UP, TensorRtBackend
from tests.engine.libraries.tensorrt.test_contexts import (  # noqa: F401
    Stage,
    backend,
    stage,
    trt,
)

SIZES = {"faces": 1, "frames": 8, "selected": 1}
LAYERS = {"Layers": [{"Name": "conv", "LayerType": "CaskConvolution"}], "Bindings": ["warped"]}


def test_records_are_trtexec_s() -> None:
    first, conv, cast = profile_records({"conv": [1.0, 2.0, 6.0], "cast": [1.0, 1.0, 1.0]})
    assert first == {"count": 3}
    assert conv == {"name": "conv", "timeMs": 9.0, "averageMs": 3.0, "medianMs": 2.0,
                    "percentage": 75.0}  # fmt: skip
    assert cast["percentage"] == 25.0
    # The explorer takes records of four or five fields for layers.
    assert [len(one) for one in (first, conv, cast)] == [1, 5, 5]
    assert profile_records({}) == [{"count": 0}]
    assert profile_records({"noop": [0.0]})[1]["percentage"] == 0.0


def test_the_library_takes_the_recorder_for_a_profiler() -> None:
    recorder = layer_recorder(trt)
    assert isinstance(recorder, trt.IProfiler)
    recorder.report_layer_time("a", 1.5)
    recorder.report_layer_time("a", 2.5)
    assert recorder.ms == {"a": [1.5, 2.5]}


def tells(stage: Stage, layers: Any) -> None:  # noqa: F811
    """Its inspector says that, and every context reports one layer a run to its profiler."""
    inspector = Mock(spec=trt.EngineInspector)
    inspector.get_engine_information.return_value = json.dumps(layers)
    stage.engine.create_engine_inspector.return_value = inspector
    stage.module.IProfiler = trt.IProfiler
    stage.module.LayerInformationFormat = trt.LayerInformationFormat
    make = stage.context

    def context(config: Any) -> Any:
        made = make(config)
        made.ran = 0

        def execute(stream: int) -> bool:
            made.ran += 1
            made.profiler.report_layer_time("conv", float(made.ran))
            return True

        made.execute_async_v3.side_effect = execute
        return made

    stage.engine.create_execution_context.side_effect = context


def test_a_plan_runs_alone_and_each_layer_s_runs_are_counted_once_warm(
    stage: Stage,  # noqa: F811
    backend: TensorRtBackend,  # noqa: F811
) -> None:
    tells(stage, LAYERS)
    found = backend.profile_layers("hq_encoder", SIZES, 3)
    assert found.layers == LAYERS
    count, conv = found.profile
    assert count == {"count": 3}
    assert conv["timeMs"] == sum(range(PROFILE_WARM_UP + 1, PROFILE_WARM_UP + 4))
    context = stage.contexts[-1]
    context.set_input_shape.assert_called_once_with("warped", (1, 3, 128, 128))
    cuda: Any = backend._cuda
    assert cuda.to_device.call_args.args[1].nbytes == 3 * 128 * 128 * 4
    assert not cuda.to_device.call_args.args[1].any()
    assert cuda.wait.call_count == 1 + PROFILE_WARM_UP + 3


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ({"Layers": ["conv"]}, "the names of its layers alone; delete it and run `keeprt build`"),
        ({"Layers": []}, "tells nothing of this plan's layers"),
        ([], "tells nothing of this plan's layers"),
    ],
)
def test_a_plan_without_layers_is_refused(
    stage: Stage,  # noqa: F811
    backend: TensorRtBackend,  # noqa: F811
    layers: Any,
    said: str,
) -> None:
    tells(stage, layers)
    with pytest.raises(BackendError, match=f"hq_encoder: .*{said}"):
        backend.profile_layers("hq_encoder", SIZES, 1)


def test_files_of_every_plan(
    stage: Stage,  # noqa: F811
    backend: TensorRtBackend,  # noqa: F811
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Read as the explorer does: layers and bindings, and what is no record left out."""
    from keeprt.benchmarks.bench.layers import RUNS, write_layers
    from keeprt.benchmarks.bench.run import Options

    tells(stage, LAYERS)
    asked: list[Any] = []
    monkeypatch.setattr(
        TensorRtBackend,
        "for_frames",
        lambda *given, **how: asked.append((given[1], how)) or backend,
    )
    options = Options(tiny_bundle, backend="rtx", faces=(1, 2), window=8, device=1)
    write_layers(options, tmp_path / "layers", lambda text: None)
    assert asked == [("rtx", {"faces": 2, "window": 8, "device": 1})]
    names = load_bundle(tiny_bundle).subgraphs
    files = {f"{kind}_{name}.json" for name in names for kind in ("layers", "profile")}
    assert {path.name for path in (tmp_path / "layers").iterdir()} == files
    for name in names:
        graph = json.loads((tmp_path / "layers" / f"layers_{name}.json").read_text())
        assert isinstance(graph["Layers"][0], dict) and graph["Bindings"]
        profile = json.loads((tmp_path / "layers" / f"profile_{name}.json").read_text())
        (record,) = [one for one in profile if len(one) in (4, 5)]
        assert record.keys() == {"name", "timeMs", "averageMs", "medianMs", "percentage"}
        assert profile[0] == {"count": RUNS}
