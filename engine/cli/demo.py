"""`keeprt demo`: the whole way on one machine, from weights to a restored clip."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from keeprt.engine.cli.console import console, frame_progress, need, output, warn_synthetic
from keeprt.engine.restorer import DEFAULT_WINDOW


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything it makes.")] = Path(
        "demo"
    ),
    weights: Annotated[
        str, typer.Option(help="'official', a .pth or .safetensors, or 'synthetic:SEED'.")
    ] = "synthetic:1",
    frames: Annotated[int, typer.Option(help="Frames of the clip.", min=2)] = 12,
    reference_frames: Annotated[
        int, typer.Option(help="Frames to compare with the PyTorch reference.", min=0)
    ] = 3,
    window: Annotated[int, typer.Option(help="Frames that a gain sees.")] = DEFAULT_WINDOW,
) -> None:
    """Make a degraded face clip, export the network, restore the clip, compare, and show it.

    Example: keeprt demo --frames 12
    """
    module = need("keeprt.benchmarks.demo", "all")
    if weights.startswith("synthetic:"):
        warn_synthetic()
    with console.status("") as status:
        prepared = module.prepare(out, weights, frames, say=status.update, notify=console.print)
    with frame_progress("restoring", frames) as on_frame:
        module.restore(prepared, window, on_frame)
    with console.status("comparing with the PyTorch reference"):
        agreement = module.compare(prepared, window, min(reference_frames, frames))
        module.write_side_by_side(prepared)

    table = Table("", "", title="keeprt demo", show_header=False)
    for name, value in [*prepared.summary(), *agreement.summary()]:
        table.add_row(name, value)
    output.print(table)
    if prepared.bundle.is_synthetic:
        warn_synthetic()
