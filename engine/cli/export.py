"""`keeprt export`: from a checkpoint to a bundle."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from keeprt.engine.bundle.load import load_bundle
from keeprt.engine.cli.inspect import bundle_facts
from keeprt.engine.cli.options import making as m
from keeprt.engine.cli.options import network as n
from keeprt.engine.cli.options import results as r
from keeprt.engine.cli.options.states import precision_of
from keeprt.engine.cli.terminal.console import announce, need, note, warn_synthetic
from keeprt.engine.cli.terminal.progress import steps
from keeprt.engine.summaries import write_summary

# why `auto` is what it is here
REASONS = {
    "fp16-norms": "fp16-norms: this machine has an NVIDIA card; for a processor --precision fp32",
    "fp32": "fp32: no NVIDIA card here; for a card --precision fp16-norms",
}


def export(
    out: r.BundleFolder = Path("bundle"),
    weights: n.Weights = "official",
    precision: m.Precision = "auto",
    calibrate: m.Calibrate = None,
    without_kalman: m.WithoutKalman = False,
    without_cfa: m.WithoutCfa = False,
    overwrite: r.ReplaceBundle = False,
    json: r.Json = None,
) -> None:
    """Write the network as a bundle of ONNX graphs with a manifest.

    Example: keeprt export --weights synthetic:1 --out bundle
    """
    write = need("keeprt.export.pipeline", "export").export_weights
    if calibrate is not None:
        calibrated = need("keeprt.benchmarks.precision.calibrate", "all").export_calibrated
        write = partial(calibrated, clip=calibrate)
    if weights.startswith("synthetic:"):
        warn_synthetic()
    without = {"kalman": without_kalman, "cfa": without_cfa}
    chosen = precision_of(precision)
    if chosen != precision:
        note(REASONS[chosen])
    with steps("reading weights") as step:
        write(
            weights,
            out,
            changes={part: False for part, absent in without.items() if absent},
            precision=chosen,
            overwrite=overwrite,
            on_bytes=lambda done, total: step("downloading weights", done, total or 0),
            on_stage=lambda name: step(f"exporting {name}", 0, 0),
            notify=note,
        )
    announce(f"wrote {out}")
    if json is not None:
        write_summary(json, "export", {"out": out.name, **bundle_facts(load_bundle(out))})
