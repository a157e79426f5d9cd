"""What a policy's frame costs at least on cards that are not here: graphs without their weights."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import onnx

from keeprt.benchmarks.bench.cost import StageCost, stream_costs
from keeprt.benchmarks.bench.hardware.cards import CARDS, predict
from keeprt.benchmarks.precision.policies import Policy
from keeprt.engine.bundle.load import Bundle
from keeprt.export.half_storage import load_widened
from keeprt.export.precision.islands import HALF, border
from keeprt.export.precision.typed_graph import convert

# Dense TF32 rates in TFLOP/s by the sheets that `cards.py` names; on GeForce cards they are those
# of the plain cores.
TF32_TFLOP_S = {"L4": 60.5, "RTX 4090": 82.6, "RTX 5090": 104.8, "H100 SXM": 494.5}
KEPT_BYTES = 4096  # constants that shapes are made of


class Skeleton:
    """A float32 bundle's graphs, their weights dropped, to be typed once for each policy."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._graphs = {name: _without_weights(bundle.file(name)) for name in bundle.subgraphs}

    def predicted_ms(self, policy: Policy, window: int) -> dict[str, float]:
        """Floor of one steady frame of one face on each card of TF32_TFLOP_S."""
        with self._typed(policy) as bundle:
            return _floors(stream_costs(bundle, 1, window), policy)

    @contextmanager
    def _typed(self, policy: Policy) -> Iterator[Bundle]:
        with tempfile.TemporaryDirectory() as folder:
            subgraphs = {}
            for name, graph in self._graphs.items():
                spec, model = self._bundle.subgraphs[name], onnx.ModelProto()
                model.CopyFrom(graph)
                inputs = border(spec.inputs, policy.precision)
                outputs = border(spec.outputs, policy.precision)
                if policy.precision in HALF:
                    convert(
                        model,
                        name,
                        HALF[policy.precision],
                        border_types={t.name: t.dtype for t in (*inputs, *outputs)},
                        islands=policy.islands,
                        shapes_only=True,
                    )
                onnx.save(model, Path(folder) / spec.file)
                subgraphs[name] = replace(spec, inputs=inputs, outputs=outputs)
            yield Bundle(Path(folder), replace(self._bundle.manifest, subgraphs=subgraphs))


def _floors(costs: Mapping[str, StageCost], policy: Policy) -> dict[str, float]:
    floors = {}
    for name, tf32 in TF32_TFLOP_S.items():
        card = replace(CARDS[name], fp32_tflop_s=tf32) if policy.tf32 else CARDS[name]
        floors[name] = predict(card, costs, policy.precision).frame_ms
    return floors


def _without_weights(file: Path) -> onnx.ModelProto:
    model = load_widened(file)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.raw_data) > KEPT_BYTES:
            tensor.ClearField("raw_data")
    return model
