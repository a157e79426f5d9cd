"""`keeprt evaluate`: clips made poor, restored in several ways, and measured against the sharp."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from keeprt.engine.cli.options import evaluating as m
from keeprt.engine.cli.options import network as n
from keeprt.engine.cli.options import pictures as o
from keeprt.engine.cli.options import results as r
from keeprt.engine.cli.terminal.console import alert, announce, need, note, output, warn_synthetic
from keeprt.engine.cli.terminal.progress import frame_progress
from keeprt.engine.restorer import DEFAULT_CHUNK, DEFAULT_WINDOW
from keeprt.engine.summaries import public_command


def evaluate(
    bundle: n.EvaluatedBundle = None,
    out: r.EvaluationFolder = Path("evaluate"),
    # The clips.
    clip: m.EvaluatedClips = None,
    aligned: m.AlignedClip = False,
    detector: o.ClipDetector = None,
    frames: m.EvaluatedFrames = 16,
    # How they are made poor.
    level: m.Level = "mild,medium,heavy",
    sigma: m.Sigma = None,
    noise: m.Noise = None,
    crf: m.DegradingCrf = None,
    downscale: m.Downscale = 4,
    seed: m.Seed = 0,
    # How they are restored.
    methods: m.Methods = None,
    onnx: m.OnnxMethods = None,
    onnx_clip: m.OnnxClips = None,
    window: n.Window = DEFAULT_WINDOW,
    chunk: n.Chunk = DEFAULT_CHUNK,
    provider: n.Provider = "cpu",
    device: n.Device = 0,
    threads: n.NetworkThreads = None,
    # How they are measured.
    lpips_onnx: m.Lpips = None,
    identity_onnx: m.Identity = None,
    landmarks_onnx: m.Keypoints = None,
    column: m.Column = None,
    # What is shown.
    report: r.Report = None,
    json: r.Json = None,
    from_folder: m.EarlierFolder = None,
    overwrite: r.Overwrite = False,
) -> None:
    """Measure restoration as the paper does, on clips made poor.

    They are degraded, restored and compared: PSNR, SSIM, LPIPS, identity (IDS), keypoint distance
    (AKD), their deviation over time, and flow-warping error, for the network in stream, clip and
    per-frame mode and for baselines.
    The --...-onnx files also take [,range=0..1|0..255][,order=bgr].

    Example: keeprt evaluate bundle --clip interview.mp4 --level heavy --report evaluate.html
    """
    if report is not None:
        need("keeprt.benchmarks.evaluate.page", "all")
    if from_folder is not None:
        found = need("keeprt.benchmarks.evaluate.result", "all").load_evaluation(from_folder)
        _show(found, from_folder, report, json)
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
        onnx_clip=tuple(onnx_clip or ()),
        lpips=lpips_onnx,
        identity=identity_onnx,
        landmarks=landmarks_onnx,
        column=column,
        provider=provider,
        device=device,
        threads=threads,
        window=window,
        chunk=chunk,
        command=public_command(sys.argv[1:]),
    )
    prepared = module.prepare(request)
    run = need("keeprt.benchmarks.evaluate.run", "all")
    with frame_progress("evaluating", prepared.frames) as on_frame:
        found = run.evaluate(prepared.plan, prepared.clips, on_frame)
    _show(found, out, report, json)


def _show(found: Any, folder: Path, report: Path | None, json: Path | None) -> None:
    tables = need("keeprt.benchmarks.evaluate.table", "all")
    for level in found.levels:
        table = Table(title=tables.level_title(found, level), box=SIMPLE, padding=(0, 1, 0, 0))
        table.add_column("method", no_wrap=True)
        for column in tables.shown_columns(found):
            heading = tables.heading(column).replace(", ", "\n")
            table.add_column(heading, justify="right", no_wrap=True)
        for name, cells in tables.rows(found, level):
            table.add_row(name, *(Text(c.text, "bold" if c.best else "") for c in cells))
        if reference := tables.paper_row(found, level):
            table.add_row(tables.PAPER, *reference, style="dim")
        output.print(table)
    computed = [f"{labels}: {source}" for labels, source in tables.sources(found).items()]
    for line in [*computed, *tables.notes(found)]:
        note(line)
    if not found.complete:
        alert("note: this evaluation was interrupted; some results are missing")
    if report is not None:
        need("keeprt.benchmarks.evaluate.page", "all").write_page(found, folder, report)
        announce(f"wrote {report}")
    if json is not None:
        found.write(json)
    announce(f"clips, flicker pictures and evaluate.json are in {folder}")
    if found.synthetic:
        warn_synthetic()
