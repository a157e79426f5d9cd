"""`keeprt verify`: a bundle under a backend against the PyTorch reference."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import typer
from rich.table import Column, Table

from keeprt.engine.cli.options import evaluating as e
from keeprt.engine.cli.options import network as n
from keeprt.engine.cli.options import pictures as o
from keeprt.engine.cli.options import results as r
from keeprt.engine.cli.options import verifying as m
from keeprt.engine.cli.options.declaration import Names
from keeprt.engine.cli.options.files import Named, check_replaced, check_writable
from keeprt.engine.cli.terminal.console import need, output, warn_synthetic
from keeprt.engine.cli.terminal.progress import frame_progress, status
from keeprt.engine.errors import UsageError
from keeprt.engine.restorer import DEFAULT_CHUNK, DEFAULT_WINDOW
from keeprt.engine.summaries import STDOUT

EXIT_FAILED, EXIT_INVALID = 1, 2


def verify(
    bundle: n.VerifiedBundle = None,
    # What is restored, and how.
    clip: m.VerifiedClip = None,
    aligned: e.AlignedClip = False,
    frames: m.VerifiedFrames = 100,
    samples: m.Samples = 10,
    control: m.Control = False,
    weights: n.VerifiedWeights = None,
    mode: n.Mode = "stream",
    window: n.Window = DEFAULT_WINDOW,
    chunk: n.Chunk = DEFAULT_CHUNK,
    backend: n.Backend = "onnxruntime",
    provider: n.Provider = "cpu",
    device: n.Device = 0,
    threads: n.VerifiedThreads = None,
    detector: o.ClipDetector = None,
    # What it is held against.
    thresholds: m.Thresholds = None,
    baseline: m.Baseline = None,
    bisect: m.Bisect = False,
    soak: m.Soak = None,
    pack: m.Pack = None,
    # What comes out.
    json_file: r.VerifyJson = None,
    junit: r.Junit = None,
    report: r.Report = None,
    polygraphy: m.PolygraphyFolder = None,
    earlier: m.EarlierResult = None,
    overwrite: r.Overwrite = False,
) -> None:
    """Compare a bundle with the PyTorch reference.

    Subgraph by subgraph and frame by frame.

    Exit code: 0 all within the thresholds, 1 some not, 2 bad usage or input, or a run that says
    nothing.

    Example: keeprt verify bundle --clip interview.mp4 --json verify.json --report verify.html
    """
    if (bundle is None) == (earlier is None):
        raise UsageError("give the folder of a bundle, or --from RESULT.json of an earlier run")
    packed = pack is not None and pack.exists()
    conclusion = need("keeprt.benchmarks.verify.conclusion", "all")
    with ExitStack() as opened:
        kept = earlier or (None if json_file == Path(STDOUT) else json_file)
        if earlier is not None and earlier.is_dir():
            raise UsageError(f"{earlier} is a folder: --from takes the --json file of a run")
        folder = kept.with_name(f"{kept.stem}_pictures") if kept else None
        if folder is None and report is not None:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        if folder and not earlier:
            pictures_of = Named("--json: its pictures", Names.FOLDER, folder)
            check_writable(pictures_of)
            check_replaced(pictures_of, overwrite)
        outputs = conclusion.Outputs(
            thresholds=thresholds,
            baseline=baseline,
            json=json_file,
            junit=junit,
            report=report,
            pictures=conclusion.PictureFolder(folder) if folder else None,
            polygraphy=polygraphy,
            pack=None if packed else pack,
        )
        if earlier is not None:
            result, limits, before = conclusion.reopen(earlier, outputs)
            _finish(conclusion, result, limits, before, outputs)
            return
        if packed:
            by_pack = need("keeprt.benchmarks.verify.pack_run", "all")
            runtime = by_pack.Runtime(backend, provider, threads, device)
            with frame_progress("comparing", None) as on_frame:
                result, limits = by_pack.judge_by_pack(pack, bundle, runtime, outputs, on_frame)
            _finish(conclusion, result, limits, None, outputs)
            return
        command = need("keeprt.benchmarks.verify.command", "all")
        faces = need("keeprt.benchmarks.verify.measuring.faces", "all")
        request = command.Request(
            bundle=bundle,
            source=faces.FaceSource(clip, aligned, detector),
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
            soak=soak,
            device=device,
        )
        _run(command, conclusion, request, outputs, bisect)


def _run(
    command: ModuleType, conclusion: ModuleType, request: Any, outputs: Any, bisect: bool
) -> None:
    with status("loading the bundle and the reference"):
        prepared = command.prepare(request, outputs)
    if prepared.bundle.is_synthetic:
        warn_synthetic()
    concluding = (prepared.result, prepared.limits, prepared.baseline)
    try:
        with frame_progress("comparing", request.total) as on_frame:
            command.measure(prepared, on_frame)
        for line in command.write_takeover(prepared):
            output.print(line, soft_wrap=True)
        if bisect:
            with status() as say:
                verdict = conclusion.judge(prepared.result, prepared.limits)
                command.bisect_failures(prepared, verdict, lambda name: say(f"looking into {name}"))
    except KeyboardInterrupt:
        if prepared.result.frames:  # what was measured is kept, and said to be incomplete
            _show(conclusion, prepared.result, conclusion.conclude(*concluding, outputs))
        raise
    _finish(conclusion, *concluding, outputs)


def _finish(conclusion: ModuleType, result: Any, limits: Any, baseline: Any, outputs: Any) -> None:
    verdict = conclusion.conclude(result, limits, baseline, outputs)
    _show(conclusion, result, verdict)
    if not verdict.valid:
        raise typer.Exit(EXIT_INVALID)
    if not verdict.passed:
        raise typer.Exit(EXIT_FAILED)


def _show(conclusion: ModuleType, result: Any, verdict: Any) -> None:
    for title, columns, rows in conclusion.console_tables(result, verdict):
        table = Table(Column(columns[0], no_wrap=True), *columns[1:], title=title)
        for row in rows:
            table.add_row(*row)
        output.print(table)
    for sentence in conclusion.sentences(result):
        output.print(sentence, soft_wrap=True)
    style = "green" if verdict.passed else "red"
    output.print(conclusion.headline(result, verdict), style=style, soft_wrap=True)
