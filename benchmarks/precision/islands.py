"""What each float32 island buys: errors and float32 work with all, without each, and with none."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from keeprt.benchmarks.precision.runs import (
    Array,
    FrameRecord,
    end_point_error,
    relative,
    run_subgraph,
)
from keeprt.benchmarks.precision.storage import stored_backend
from keeprt.engine.bundle.load import Bundle
from keeprt.export.precision.bundle import COST_AXES, convert_subgraph
from keeprt.export.precision.cost import node_flops
from keeprt.export.precision.islands import ISLANDS, Island

# Outputs whose mean relative error a row tells, in this order.
TOLD = (
    ("lq_encoder", "latent"),
    ("gain_net", "gains"),
    ("hq_encoder", "predicted"),
    ("decoder", "margin"),
    ("decoder", "restored"),
)


@dataclass(frozen=True)
class IslandRow:
    """Errors of one set of islands: those of TOLD, the flow's median end-point error, and flips."""

    name: str
    float32_share: float
    errors: tuple[float, ...]
    flow_error: float
    flips: int
    tokens: int


def study_islands(
    bundle: Bundle, records: list[FrameRecord], threads: int | None = None
) -> list[IslandRow]:
    """One row with all islands, one without each, one with none; each on the records' inputs."""
    sets: list[tuple[str, tuple[Island, ...]]] = [("all", ISLANDS)]
    sets += [
        (f"without {island.name}", tuple(other for other in ISLANDS if other is not island))
        for island in ISLANDS
    ]
    sets.append(("none (fp16)", ()))
    cache: dict[tuple[str, tuple[str, ...]], _Result] = {}
    rows = []
    for label, islands in sets:
        results = {}
        for name in bundle.subgraphs:
            # A subgraph is run anew only where the set changes something for it; flow matching
            # also where its features, which it is fed here, change.
            relevant = _relevant(islands, name)
            if name == "flow_matching":
                relevant += _relevant(islands, "flow_features")
            key = (name, tuple(island.name for island in relevant))
            if key not in cache:
                cache[key] = _run(bundle, name, islands, records, threads, cache)
            results[name] = cache[key]
        rows.append(_row(label, results))
    return rows


@dataclass(frozen=True)
class _Result:
    outputs: list[dict[str, Array]]
    exact: list[FrameRecord]
    flops: float
    float32_flops: float


def _relevant(islands: Iterable[Island], subgraph: str) -> tuple[Island, ...]:
    return tuple(island for island in islands if re.fullmatch(island.subgraph, subgraph))


def _run(
    bundle: Bundle,
    name: str,
    islands: tuple[Island, ...],
    records: list[FrameRecord],
    threads: int | None,
    cache: dict[tuple[str, tuple[str, ...]], _Result],
) -> _Result:
    with tempfile.TemporaryDirectory() as folder:
        spec = bundle.subgraphs[name]
        (Path(folder) / spec.file).write_bytes(bundle.file(name).read_bytes())
        spec = convert_subgraph(Path(folder), name, spec, "mixed", islands=islands)
        manifest = replace(bundle.manifest, precision="mixed", subgraphs={name: spec})
        part = Bundle(Path(folder), manifest)
        backend = stored_backend(part, threads)
        fed = records
        if name == "flow_matching":
            key = tuple(island.name for island in _relevant(islands, "flow_features"))
            fed = _with_features(records, cache["flow_features", key])
        outputs = [
            run_subgraph(part, backend, name, record.inputs[name], record.outputs[name])
            for record in fed
        ]
        model = onnx.load(part.file(name), load_external_data=False)
        found = node_flops(model, COST_AXES)
    total = sum(flop for _, _, flop in found)
    exact = sum(flop for _, kind, flop in found if kind == "float32")
    return _Result(outputs, records, total, exact)


def _with_features(records: list[FrameRecord], features: _Result) -> list[FrameRecord]:
    """Records whose matching reads the features computed here; the first frame's previous ones
    are the recorded ones.
    """
    changed = []
    previous = None
    for record, output in zip(records, features.outputs, strict=True):
        inputs = dict(record.inputs["flow_matching"], current=output["features"])
        if previous is not None:
            inputs["previous"] = previous
        previous = output["features"]
        changed.append(
            FrameRecord(record.before, {**record.inputs, "flow_matching": inputs}, record.outputs)
        )
    return changed


def _row(label: str, results: dict[str, _Result]) -> IslandRow:
    errors = tuple(
        float(
            np.mean(
                [
                    relative(output[tensor], record.outputs[name][tensor])
                    for output, record in zip(
                        results[name].outputs, results[name].exact, strict=True
                    )
                ]
            )
        )
        for name, tensor in TOLD
    )
    flows = [
        end_point_error(
            FrameRecord(record.before, {}, {"flow_matching": output}).flow(), record.flow()
        )
        for output, record in zip(
            results["flow_matching"].outputs, results["flow_matching"].exact, strict=True
        )
    ]
    codes = [
        (output["codes"] != record.outputs["decoder"]["codes"])
        for output, record in zip(results["decoder"].outputs, results["decoder"].exact, strict=True)
    ]
    total = sum(result.flops for result in results.values())
    float32 = sum(result.float32_flops for result in results.values())
    return IslandRow(
        name=label,
        float32_share=float32 / total,
        errors=errors,
        flow_error=float(np.median(flows)),
        flips=int(sum(code.sum() for code in codes)),
        tokens=sum(code.size for code in codes),
    )
