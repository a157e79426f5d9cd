"""A bundle of one subgraph in which tensors from inside are outputs too, and what computes it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto

from keeprt.benchmarks.precision.runs import run_subgraph
from keeprt.benchmarks.verify.subject import PlansOnHost
from keeprt.engine.bundle.load import Bundle, file_sha256
from keeprt.engine.bundle.specs import TensorSpec
from keeprt.engine.devices.cpu.device import Backend
from keeprt.engine.libraries.tensorrt.build_all import BuildRequest, Made, build_plans
from keeprt.engine.libraries.tensorrt.graphs import GraphProfile
from keeprt.engine.libraries.tensorrt.run import TensorRtBackend
from keeprt.export.precision.cost import axis_size

Array = NDArray[Any]
Tensors = Mapping[str, Array]
#: What opens the library under test on a bundle.
Opener = Callable[[Bundle], Backend]
# NumPy, in which tensors are compared, has no bfloat16.
SEEN_TYPES = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16"}


class InnerSpec(TensorSpec):
    """A tensor from inside, whose axes may be expressions of the free ones, such as `2*faces`."""

    def sized(self, **axes: int) -> tuple[int, ...]:
        """See TensorSpec."""
        return tuple(axis_size(a, axes) if isinstance(a, str) else a for a in self.shape)


def inner_tensors(model: onnx.ModelProto) -> dict[str, InnerSpec]:
    """The real tensors between a graph's borders whose shape is known, in the graph's order."""
    border = {value.name for value in (*model.graph.input, *model.graph.output)}
    values = {value.name: value for value in model.graph.value_info}
    made = (name for node in model.graph.node for name in node.output)
    found = {}
    for name in made:
        if name in border or name not in values:
            continue
        tensor = values[name].type.tensor_type
        shape = tuple(dim.dim_param or dim.dim_value for dim in tensor.shape.dim)
        if tensor.elem_type in SEEN_TYPES and shape and all(shape):
            found[name] = InnerSpec(name, SEEN_TYPES[tensor.elem_type], shape, "from inside")
    return found


def mark(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """A copy of a graph with tensors from inside as outputs after its own."""
    marked = onnx.ModelProto()
    marked.CopyFrom(model)
    values = {value.name: value for value in model.graph.value_info}
    marked.graph.output.extend(values[name] for name in names)
    return marked


def marked_bundle(bundle: Bundle, subgraph: str, names: Sequence[str], folder: Path) -> Bundle:
    """A bundle of one subgraph, written to `folder`, in which `names` are outputs as well."""
    model, spec = onnx.load(bundle.file(subgraph)), bundle.subgraphs[subgraph]
    inner = inner_tensors(model)
    file = folder / spec.file
    onnx.save(mark(model, names), file)
    changed = replace(
        spec,
        sha256=file_sha256(file),
        size_bytes=file.stat().st_size,
        outputs=(*spec.outputs, *(inner[name] for name in names)),
    )
    return Bundle(folder, replace(bundle.manifest, subgraphs={subgraph: changed}))


@dataclass(frozen=True)
class PlanOpener:
    """Plans of marked bundles, built on the spot for the sizes of the plan under test.

    `targets` are the cards to build for, none for the one that is here. Running them has not been
    seen on a card yet: the builder alone works without one.
    """

    flavour: str
    profile: GraphProfile
    device: int = 0
    targets: tuple[str, ...] = ()

    def build(self, bundle: Bundle) -> list[Made]:
        """The plans, beside the bundle. Raises BackendError where TensorRT finds other outputs in
        a graph than are marked, or refuses it."""
        return build_plans(bundle, BuildRequest(self.flavour, self.targets, self.profile))

    def __call__(self, bundle: Bundle) -> Backend:
        """See Opener. Raises BackendError without a card."""
        self.build(bundle)
        plans = TensorRtBackend(bundle, self.flavour, self.profile, device=self.device)
        return PlansOnHost(plans)


def run_marked(
    bundle: Bundle, subgraph: str, inputs: Tensors, exact: Tensors, opener: Opener
) -> dict[str, Array]:
    """The subgraph's own outputs and the tensors inside that `exact` has besides."""
    own = {spec.name for spec in bundle.subgraphs[subgraph].outputs}
    names = [name for name in exact if name not in own]
    with tempfile.TemporaryDirectory() as folder:
        marked = marked_bundle(bundle, subgraph, names, Path(folder))
        backend = opener(marked)
        try:
            return run_subgraph(marked, backend, subgraph, inputs, exact)
        finally:
            if hasattr(backend, "close"):
                backend.close()


class ExactGraph:
    """A graph run by ONNX Runtime without any fusion, for the values that others are held to."""

    def __init__(self, model: onnx.ModelProto, inputs: Tensors, threads: int | None = None) -> None:
        self._model, self._inputs = model, inputs
        self._options = onnxruntime.SessionOptions()
        self._options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._options.intra_op_num_threads = threads or 0
        self._options.log_severity_level = 3

    def values(self, names: Sequence[str]) -> dict[str, Array]:
        """The graph's own outputs and the named tensors inside."""
        session = onnxruntime.InferenceSession(
            mark(self._model, names).SerializeToString(),
            self._options,
            providers=["CPUExecutionProvider"],
        )
        asked = [output.name for output in session.get_outputs()]
        known = {one.name for one in session.get_inputs()}
        given = {n: np.ascontiguousarray(v) for n, v in self._inputs.items() if n in known}
        return dict(zip(asked, session.run(asked, given), strict=True))
