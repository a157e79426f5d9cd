"""`keeprt demo`: what the past is worth, shown on one machine."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from keeprt.engine.bundle.load import DEMO
from keeprt.engine.cli.options import making as m
from keeprt.engine.cli.options import network as n
from keeprt.engine.cli.options import results as r
from keeprt.engine.cli.terminal.console import need, note, output, warn_synthetic
from keeprt.engine.cli.terminal.progress import frame_progress, status
from keeprt.engine.errors import UsageError
from keeprt.engine.restorer import DEFAULT_WINDOW
from keeprt.engine.summaries import write_summary


def demo(
    out: r.DemoFolder = Path("demo"),
    weights: n.DemoWeights = None,
    frames: m.DemoFrames = None,
    reference_frames: m.ReferenceFrames = 3,
    window: n.Window = DEFAULT_WINDOW,
    overwrite: r.Overwrite = False,
    json: r.Json = None,
) -> None:
    """Show on a degraded clip what the past is worth.

    Example: keeprt demo --frames 12
    """
    if not overwrite and out.is_dir() and {path.name for path in out.iterdir()} - {"bundle"}:
        raise UsageError(
            f"--out {out} is a folder that is not empty: --overwrite writes into it (a bundle in "
            "it is used again)"
        )
    module = need("keeprt.benchmarks.demo", "demo")
    figures = need("keeprt.benchmarks.demo_figures", "demo")
    pictures = need("keeprt.benchmarks.demo_pictures", "demo")
    weights = weights or DEMO
    if weights.startswith("synthetic:"):
        warn_synthetic()
    with status() as say:
        prepared = module.prepare(out, weights, frames, say=say, notify=note)
    with frame_progress("restoring", 2 * len(prepared.clip.degraded)) as on_frame:
        module.restore(prepared, window, on_frame)
    with status("writing pictures") as say:
        written = pictures.write_pictures(prepared)
        say("measuring")
        found = figures.measure(prepared, figures.agree(prepared, window, reference_frames))

    headings = ("", "PSNR, dB", "SSIM", "E_warp, 1e-3", "flicker, levels")
    table = Table(*headings, title="keeprt demo: against the sharp clip")
    for row in found.rows():
        table.add_row(*row)
    output.print(table)
    for name, value in [*prepared.summary(), *found.summary()]:
        output.print(f"{name}: {value}", soft_wrap=True)
    output.print(f"look at {', '.join(map(str, written))}", soft_wrap=True)
    if json is not None:
        write_summary(json, "demo", {**prepared.facts(), **found.facts()})
    if prepared.bundle.is_synthetic:
        warn_synthetic()
