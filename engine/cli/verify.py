"""`keeprt verify`: a bundle under a backend against the PyTorch reference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keeprt.engine.cli.console import frame_progress, need, warn_synthetic
from keeprt.engine.restorer import DEFAULT_CHUNK, DEFAULT_WINDOW


def verify(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    clip: Annotated[
        Path | None,
        typer.Option(help="Video whose largest face is restored. Default: the demo's made clip."),
    ] = None,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The whole picture of --clip is one aligned face.")
    ] = False,
    frames: Annotated[int, typer.Option(help="Frames to restore on both sides.")] = 100,
    samples: Annotated[
        int,
        typer.Option(help="Frames among them at which every subgraph is compared by itself."),
    ] = 10,
    control: Annotated[
        bool,
        typer.Option(
            "--control",
            help="Also run the reference against itself, disturbed once by the runtime's error "
            "at the first frame: shows what the network itself makes of rounding.",
        ),
    ] = False,
    weights: Annotated[
        str | None,
        typer.Option(help="The reference's weights. Default: those that the bundle names."),
    ] = None,
    mode: Annotated[str, typer.Option(help="'stream' or 'clip', for both sides.")] = "stream",
    window: Annotated[
        int, typer.Option(help="Frames that a gain sees in stream mode.")
    ] = DEFAULT_WINDOW,
    chunk: Annotated[int, typer.Option(help="Frames of a chunk in clip mode.")] = DEFAULT_CHUNK,
    backend: Annotated[str, typer.Option(help="Inference library under test.")] = "onnxruntime",
    provider: Annotated[str, typer.Option(help="ONNX Runtime provider: cpu or cuda.")] = "cpu",
    threads: Annotated[
        int | None, typer.Option(help="Threads in an operator, of both; default one per core.")
    ] = None,
    detector: Annotated[
        Path | None, typer.Option(help="ONNX file of another face detector.")
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            help="Result file, written after every frame; pictures go into a folder beside it.",
        ),
    ] = None,
) -> None:
    """Compare a bundle with the PyTorch reference, subgraph by subgraph and frame by frame.

    Exit code: 0 all within the thresholds, 1 some not, 2 bad usage or input.

    Example: keeprt verify bundle --clip interview.mp4 --json verify.json --report verify.html
    """
    module = need("keeprt.benchmarks.verify.command", "all")
    request = module.Request(
        bundle=bundle,
        source=module.FaceSource(clip, aligned, detector),
        frames=frames,
        samples=samples,
        control=control,
        weights=weights,
        mode=mode,
        window=window,
        chunk=chunk,
        backend=backend,
        provider=provider,
        threads=threads,
        json=json_file,
    )
    prepared = module.prepare(request)
    if prepared.bundle.is_synthetic:
        warn_synthetic()
    with frame_progress("comparing", frames) as on_frame:
        module.measure(prepared, on_frame)
