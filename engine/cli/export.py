"""`keeprt export`: from a checkpoint to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, TaskID

from keeprt.engine.cli.console import console, need, output, warn_synthetic


def export(
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle.")] = Path("bundle"),
    weights: Annotated[
        str,
        typer.Option(
            help="'official' (downloaded once), a .pth or .safetensors, 'synthetic:SEED'."
        ),
    ] = "official",
    precision: Annotated[
        str,
        typer.Option(help="fp32; mixed (float16 with float32 islands, for TensorRT); fp16; bf16."),
    ] = "fp32",
    without_kalman: Annotated[
        bool, typer.Option("--without-kalman", help="Ablation: no Kalman filter network.")
    ] = False,
    without_cfa: Annotated[
        bool, typer.Option("--without-cfa", help="Ablation: no cross-frame attention.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an old bundle.")] = False,
) -> None:
    """Write the network as a bundle of ONNX subgraphs with a sealed manifest.

    Example: keeprt export --weights synthetic:1 --out bundle
    """
    writer = need("keeprt.export.pipeline", "export")
    if weights.startswith("synthetic:"):
        warn_synthetic()
    with Progress(console=console) as progress:
        download: TaskID | None = None

        def on_bytes(done: int, total: int | None) -> None:
            nonlocal download
            if download is None:
                download = progress.add_task("downloading weights")
            progress.update(download, completed=done, total=total)

        task = progress.add_task("reading weights", total=None)
        writer.export_weights(
            weights,
            out,
            changes={"kalman": not without_kalman, "cfa": not without_cfa},
            precision=precision,
            overwrite=force,
            on_bytes=on_bytes,
            on_stage=lambda name: progress.update(task, description=f"exporting {name}"),
            notify=console.print,
        )
    output.print(f"wrote {out}", highlight=False)
