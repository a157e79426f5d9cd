"""`keeprt verify`: a bundle under a backend against the PyTorch reference."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from keeprt.engine.cli.console import console, frame_progress, need, output, warn_synthetic
from keeprt.engine.errors import UsageError
from keeprt.engine.restorer import DEFAULT_CHUNK, DEFAULT_WINDOW

EXIT_FAILED = 1


def verify(
    bundle: Annotated[Path | None, typer.Argument(help="Folder of the bundle.")] = None,
    # What is restored, and how.
    clip: Annotated[
        Path | None,
        typer.Option(help="Video whose largest face is restored. Default: the demo's made clip."),
    ] = None,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The whole picture of --clip is one aligned face.")
    ] = False,
    frames: Annotated[int, typer.Option(help="Frames to restore on both sides.")] = 100,
    samples: Annotated[
        int, typer.Option(help="Frames among them at which each subgraph is compared by itself.")
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
    # What it is held against.
    thresholds: Annotated[
        Path | None, typer.Option(help="File of limits, in place of those that come with keeprt.")
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            help="--json of an earlier run of the same bundle, weights, clip, mode and number of "
            "frames. An error of more than 1.5 times the baseline's fails, unless it is below the "
            "floor that the thresholds file gives for rounding."
        ),
    ] = None,
    bisect: Annotated[
        bool,
        typer.Option("--bisect", help="Name the first layer that departs in what fails."),
    ] = False,
    # What comes out.
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            help="Result file, written after every frame; pictures go into a folder beside it.",
        ),
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="JUnit XML file, for CI.")] = None,
    report: Annotated[Path | None, typer.Option(help="HTML page with charts and pictures.")] = None,
    earlier: Annotated[
        Path | None,
        typer.Option("--from", help="Judge and report this --json of an earlier run; no bundle."),
    ] = None,
) -> None:
    """Compare a bundle with the PyTorch reference, subgraph by subgraph and frame by frame.

    Exit code: 0 all within the thresholds, 1 some not, 2 bad usage or input.

    Example: keeprt verify bundle --clip interview.mp4 --json verify.json --report verify.html
    """
    if (bundle is None) == (earlier is None):
        raise UsageError("give the folder of a bundle, or --from RESULT.json of an earlier run")
    if aligned and clip is None:
        raise UsageError("--aligned says what --clip shows: give a clip")
    module = need("keeprt.benchmarks.verify.command", "all")
    with ExitStack() as opened:
        kept = earlier or json_file
        if kept is not None and kept.is_dir():
            raise UsageError(
                f"cannot write {kept}: it is a folder"
                if json_file
                else f"{kept} is a folder: --from takes the --json file of a run"
            )
        folder = kept.with_name(f"{kept.stem}_pictures") if kept else None
        if folder is None and report is not None:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        pictures = module.PictureFolder(folder) if folder else None
        outputs = module.Outputs(thresholds, baseline, json_file, junit, report, pictures)
        if earlier is not None:
            if bisect:
                raise UsageError("--bisect needs the bundle and its activations: leave --from out")
            result, limits, before = module.reopen(earlier, outputs)
            _finish(module, result, limits, before, outputs)
            return
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
        )
        _run(module, request, outputs, bisect)


def _run(module: ModuleType, request: Any, outputs: Any, bisect: bool) -> None:
    with console.status("loading the bundle and the reference"):
        prepared = module.prepare(request, outputs)
    if prepared.bundle.is_synthetic:
        warn_synthetic()
    concluding = (prepared.result, prepared.limits, prepared.baseline)
    try:
        with frame_progress("comparing", request.frames) as on_frame:
            module.measure(prepared, on_frame)
        if bisect:
            with console.status("") as status:
                verdict = module.judge(prepared.result, prepared.limits)
                module.bisect_failures(
                    prepared, verdict, lambda name: status.update(f"looking into {name}")
                )
    except KeyboardInterrupt:
        if prepared.result.frames:  # what was measured is kept, and said to be incomplete
            _show(module, prepared.result, module.conclude(*concluding, outputs))
        raise
    _finish(module, *concluding, outputs)


def _finish(module: ModuleType, result: Any, limits: Any, baseline: Any, outputs: Any) -> None:
    verdict = module.conclude(result, limits, baseline, outputs)
    _show(module, result, verdict)
    if not verdict.passed:
        raise typer.Exit(EXIT_FAILED)


def _show(module: ModuleType, result: Any, verdict: Any) -> None:
    for title, columns, rows in module.console_tables(result, verdict):
        table = Table(Column(columns[0], no_wrap=True), *columns[1:], title=title)
        for row in rows:
            table.add_row(*row)
        output.print(table)
    for sentence in (*module.drift_sentences(result), *module.bisect_sentences(result)):
        output.print(sentence, highlight=False, markup=False)
    style = "green" if verdict.passed else "red"
    output.print(module.headline(result, verdict), style=style, highlight=False, markup=False)
