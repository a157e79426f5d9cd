"""A bundle in another precision: its graphs converted, its manifest told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx

from keeprt.engine.bundle.load import file_sha256
from keeprt.engine.bundle.specs import SubgraphSpec
from keeprt.export.half_storage import load_widened
from keeprt.export.onnx_passes import drop_unused_constants
from keeprt.export.precision.cost import gflop_by_type
from keeprt.export.precision.islands import HALF, Island, border, islands_of
from keeprt.export.precision.typed_graph import convert
from keeprt.export.precision.weights import summary

# What a frame costs is told for one face and the default window of the gain.
COST_AXES = {"faces": 1, "frames": 8, "selected": 1}


def convert_subgraph(
    folder: Path,
    name: str,
    spec: SubgraphSpec,
    precision: str,
    notify: Callable[[str], None] = lambda text: None,
    islands: tuple[Island, ...] | None = None,
) -> SubgraphSpec:
    """Converts a float32 graph in `folder` in place and returns its new spec.

    `islands` replaces the table's, for studies. Raises BundleError where a weight does not fit.
    """
    file = folder / spec.file
    model = load_widened(file)
    if precision in HALF:
        spec = _convert(model, name, spec, precision, notify, islands)
        onnx.save(model, file)
    return replace(
        spec,
        sha256=file_sha256(file),
        size_bytes=file.stat().st_size,
        gflop=gflop_by_type(model, COST_AXES),
    )


def _convert(
    model: onnx.ModelProto,
    name: str,
    spec: SubgraphSpec,
    precision: str,
    notify: Callable[[str], None],
    islands: tuple[Island, ...] | None,
) -> SubgraphSpec:
    inputs, outputs = border(spec.inputs, precision), border(spec.outputs, precision)
    typed = convert(
        model,
        name,
        HALF[precision],
        border_types={tensor.name: tensor.dtype for tensor in (*inputs, *outputs)},
        islands=islands_of(precision) if islands is None else islands,
    )
    drop_unused_constants(model)
    if typed.weights:
        notify(f"{name}: {summary(typed.weights, HALF[precision])}")
    return replace(spec, inputs=inputs, outputs=outputs, float32_nodes=typed.float32_nodes)
