"""`keeprt evaluate`: clips made poor, restored in several ways, and measured against the sharp."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.table import Table

from keeprt.engine.cli.console import console, frame_progress, need, output, warn_synthetic
from keeprt.engine.errors import UsageError
from keeprt.engine.restorer import DEFAULT_CHUNK, DEFAULT_WINDOW


def evaluate(
    bundle: Annotated[
        Path | None,
        typer.Argument(metavar="[BUNDLE]", help="Folder of the bundle; none for baselines only."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for clips, pictures, evaluate.json.")] = Path(
        "evaluate"
    ),
    # The clips.
    clip: Annotated[
        list[Path] | None,
        typer.Option(help="Sharp video or folder of images; repeatable. Default: a made one."),
    ] = None,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The whole picture is one aligned face.")
    ] = False,
    detector: Annotated[
        Path | None, typer.Option(help="ONNX file of another face detector.")
    ] = None,
    frames: Annotated[int, typer.Option(help="Frames of each clip, 2 or more.")] = 16,
    # How they are made poor.
    level: Annotated[
        str,
        typer.Option(help="mild, medium, heavy: keeprt's own ranges, not the paper's."),
    ] = "mild,medium,heavy",
    sigma: Annotated[
        str | None, typer.Option(metavar="LO,HI", help="Range of the blur, for one --level.")
    ] = None,
    noise: Annotated[
        str | None, typer.Option(metavar="LO,HI", help="Range of the noise, in 8-bit levels.")
    ] = None,
    crf: Annotated[
        str | None, typer.Option(metavar="LO,HI", help="Range of libx264's rate factor.")
    ] = None,
    downscale: Annotated[int, typer.Option(help="Whole factor r of Eq. 9.")] = 4,
    seed: Annotated[int, typer.Option(help="Of the ranges' draws and the noise.")] = 0,
    # How they are restored.
    methods: Annotated[
        str | None,
        typer.Option(help="Of degraded, bicubic, per-frame, stream, clip; default all."),
    ] = None,
    onnx: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="A face restorer of others, frame by frame; repeatable. "
            "FILE[,range=0..1][,output=PORT][,weight=W]; range -1..1 by default.",
        ),
    ] = None,
    window: Annotated[
        int, typer.Option(help="Frames that a gain sees in stream mode.")
    ] = DEFAULT_WINDOW,
    chunk: Annotated[int, typer.Option(help="Frames of a chunk in clip mode.")] = DEFAULT_CHUNK,
    provider: Annotated[str, typer.Option(help="ONNX Runtime provider: cpu or cuda.")] = "cpu",
    threads: Annotated[
        int | None, typer.Option(help="Threads in an operator; default one per core.")
    ] = None,
    # How they are measured.
    lpips_onnx: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="LPIPS: two inputs (1,3,S,S), one number out."),
    ] = None,
    identity_onnx: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="IDS: ArcFace, one input (1,3,112,112), output (1,D). [,crop=whole]",
        ),
    ] = None,
    landmarks_onnx: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="AKD: one input (1,3,S,S), output (1,K,2) in its pixels. [,points=unit] "
            "Default: CenterFace's five points.",
        ),
    ] = None,
    column: Annotated[
        int | None, typer.Option(help="Column of the flicker picture; default the middle.")
    ] = None,
    # What is shown.
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page with all of it.")
    ] = None,
    from_folder: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Show an earlier run's --out; runs nothing."),
    ] = None,
) -> None:
    """Measure restoration as the KEEP paper does: degrade sharp clips, restore them, compare.

    PSNR, SSIM, LPIPS, identity (IDS), keypoint distance (AKD), their deviation over time, and
    flow-warping error, for the network in stream, clip and per-frame mode and for baselines.
    The --...-onnx files also take [,range=0..1|0..255][,order=bgr].

    Example: keeprt evaluate bundle --clip interview.mp4 --level heavy --report evaluate.html
    """
    if from_folder is not None:
        found = need("keeprt.benchmarks.evaluate.result", "all").load_evaluation(from_folder)
        _show(found, from_folder, report)
        return
    module = need("keeprt.benchmarks.evaluate.request", "all")
    request = module.Request(
        out=out,
        bundle=bundle,
        clips=tuple(clip or ()),
        aligned=aligned,
        detector=detector,
        frames=frames,
        levels=level,
        sigma=sigma,
        noise=noise,
        crf=crf,
        downscale=downscale,
        seed=seed,
        methods=methods,
        onnx=tuple(onnx or ()),
        lpips=lpips_onnx,
        identity=identity_onnx,
        landmarks=landmarks_onnx,
        column=column,
        provider=provider,
        threads=threads,
        window=window,
        chunk=chunk,
        command=shlex.join(["keeprt", *sys.argv[1:]]),
    )
    if report is not None:
        _check_report(report)
    prepared = module.prepare(request)
    run = need("keeprt.benchmarks.evaluate.run", "all")
    with frame_progress("evaluating", prepared.frames) as on_frame:
        found = run.evaluate(prepared.plan, prepared.clips, on_frame)
    _show(found, out, report)


def _check_report(path: Path) -> None:
    """What would fail after an hour of work fails before it."""
    if not path.parent.is_dir() or path.is_dir():
        raise UsageError(f"cannot write the report {path}: its folder must exist")
    need("keeprt.benchmarks.evaluate.page", "all")


def _show(found: Any, folder: Path, report: Path | None) -> None:
    tables = need("keeprt.benchmarks.evaluate.table", "all")
    for level in found.levels:
        # eight columns of figures in 80 characters; "not given" may be broken, figures may not
        table = Table(title=tables.level_title(found, level), box=SIMPLE, padding=(0, 1, 0, 0))
        table.add_column("method", no_wrap=True)
        for column in tables.COLUMNS:
            given = tables.is_given(found, column)
            heading = tables.heading(column).replace(", ", "\n")
            table.add_column(heading, justify="right", no_wrap=given)
        for name, cells in tables.rows(found, level):
            table.add_row(name, *(f"[bold]{c.text}[/]" if c.best else c.text for c in cells))
        output.print(table)
    computed = [f"{labels}: {source}" for labels, source in tables.sources(found).items()]
    for line in [*computed, *tables.notes(found)]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if not found.complete:
        console.print(
            "note: this evaluation was interrupted; some results are missing", style="yellow"
        )
    if report is not None:
        need("keeprt.benchmarks.evaluate.page", "all").write_page(found, folder, report)
        output.print(f"wrote {report}", highlight=False)
    output.print(f"clips, flicker pictures and evaluate.json are in {folder}", highlight=False)
    if found.synthetic:
        warn_synthetic()
