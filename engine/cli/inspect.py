"""`keeprt inspect`: what a bundle holds, as tables."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from keeprt.engine.bundle.load import Bundle, load_bundle
from keeprt.engine.bundle.specs import SubgraphSpec
from keeprt.engine.cli.options import network as n
from keeprt.engine.cli.options import results as r
from keeprt.engine.cli.plans import plan_notes, plan_tables
from keeprt.engine.cli.terminal.console import output
from keeprt.engine.summaries import write_summary


def inspect(
    bundle: n.BundleArgument = Path("bundle"),
    json: r.Json = None,
    overwrite: r.Overwrite = False,
) -> None:
    """Check a bundle and show its subgraphs, tensors and origin.

    Example: keeprt inspect bundle
    """
    checked = load_bundle(bundle)
    output.print(_origin(checked))
    for name, graph in checked.subgraphs.items():
        output.print(_tensors(name, graph))
    for plan in plan_tables(checked):
        output.print(plan)
    if json is not None:
        plans, damaged = plan_notes(checked)
        found = {"plans": [asdict(plan) for plan in plans], "damaged_plans": damaged}
        write_summary(json, "inspect", bundle_facts(checked) | found)


def bundle_facts(bundle: Bundle) -> dict[str, Any]:
    """What a bundle is and holds, for a JSON file."""
    return {
        "identity": bundle.identity,
        "size_bytes": sum(graph.size_bytes for graph in bundle.subgraphs.values()),
        "face_size": bundle.face_size,
        "manifest": json_module.loads(bundle.manifest.to_json()),
    }


def _origin(bundle: Bundle) -> Table:
    manifest = bundle.manifest
    table = Table(title=str(bundle.path), show_header=False)
    rows = {
        "weights": f"{manifest.weights_source}  sha256 {manifest.weights_sha256[:16]}…",
        "precision": manifest.precision,
        "faces": f"{bundle.face_size} x {bundle.face_size}",
        "made with": ", ".join(f"{tool} {v}" for tool, v in manifest.tools.items()),
        "identity": bundle.identity[:16] + "…",
        "size": f"{sum(g.size_bytes for g in bundle.subgraphs.values()) / 1e6:.1f} MB",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    for name, value in manifest.configuration.items():
        table.add_row(f"  {name}", str(value))
    return table


def _tensors(name: str, graph: SubgraphSpec) -> Table:
    work = ", ".join(f"{gflop:.1f} GFLOP {kind}" for kind, gflop in graph.gflop.items())
    title = f"{name}   {graph.size_bytes / 1e6:.1f} MB   {work}   sha256 {graph.sha256[:16]}…"
    table = Table("", "tensor", "type", "shape", "meaning", title=title, title_justify="left")
    for way, specs in (("in", graph.inputs), ("out", graph.outputs)):
        for spec in specs:
            shape = " x ".join(map(str, spec.shape))
            table.add_row(way, spec.name, spec.dtype, shape, spec.meaning)
    return table
