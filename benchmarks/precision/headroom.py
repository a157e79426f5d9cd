"""The largest value of every tensor that a half-precision bundle stores in float16, on frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime

from keeprt.benchmarks.precision.runs import Array, FrameRecord
from keeprt.engine.bundle.load import Bundle
from keeprt.export.half_storage import load_widened
from keeprt.export.precision.headroom import LARGEST, HalfTensor, half_tensors, tell, with_largest
from keeprt.export.precision.islands import HALF, Island, border
from keeprt.export.precision.typed_graph import convert


class HeadroomMeter:
    """Watches a float32 bundle's tensors that a precision would store in half."""

    def __init__(
        self, exact: Bundle, precision: str, islands: tuple[Island, ...], threads: int | None = None
    ) -> None:
        """`islands` of the precision. Raises BundleError where a weight does not fit into half."""
        self.graphs = {name: load_widened(exact.file(name)) for name in exact.subgraphs}
        self._threads = threads
        self._largest: dict[str, dict[str, float]] = {}
        self._sessions: dict[str, Any] = {}
        for name, graph in self.graphs.items():
            watched = half_tensors(_typed(exact, name, graph, precision, islands), graph)
            if watched:
                self._largest[name] = dict.fromkeys(sorted(watched), 0.0)
                self._sessions[name] = self._session(with_largest(graph, watched))

    def see(self, record: FrameRecord) -> None:
        """Takes in a frame that the float32 bundle has restored."""
        for name, inputs in record.inputs.items():
            if name in self._sessions:
                self._see(name, inputs)

    def told(self) -> list[HalfTensor]:
        """All tensors, the least head-room first."""
        found = [
            tensor
            for name, largest in self._largest.items()
            for tensor in tell(self.graphs[name], name, largest)
        ]
        return sorted(found, key=lambda tensor: tensor.headroom)

    def _see(self, name: str, inputs: Mapping[str, Array]) -> None:
        session, largest = self._sessions[name], self._largest[name]
        wanted = {value.name for value in session.get_inputs()}
        (found,) = session.run([LARGEST], {n: a for n, a in inputs.items() if n in wanted})
        for tensor, value in zip(list(largest), found.tolist(), strict=True):
            # not max(): a NaN, which compares as nothing, must stay
            largest[tensor] = float(np.maximum(largest[tensor], value))

    def _session(self, model: onnx.ModelProto) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads or 0
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )


def headroom(
    exact: Bundle,
    records: Iterable[FrameRecord],
    precision: str,
    islands: tuple[Island, ...],
    threads: int | None = None,
) -> list[HalfTensor]:
    """Every tensor that `precision` stores in half, on recorded frames; least head-room first."""
    meter = HeadroomMeter(exact, precision, islands, threads)
    for record in records:
        meter.see(record)
    return meter.told()


def _typed(
    exact: Bundle,
    name: str,
    graph: onnx.ModelProto,
    precision: str,
    islands: tuple[Island, ...],
) -> onnx.ModelProto:
    spec, model = exact.subgraphs[name], onnx.ModelProto()
    model.CopyFrom(graph)
    borders = (*border(spec.inputs, precision), *border(spec.outputs, precision))
    convert(
        model,
        name,
        HALF[precision],
        border_types={tensor.name: tensor.dtype for tensor in borders},
        islands=islands,
        shapes_only=True,
    )
    return model
