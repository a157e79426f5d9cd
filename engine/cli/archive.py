"""`keeprt archive`: many files, each restored once."""

from __future__ import annotations

import dataclasses
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import typer

from keeprt.engine.archive.jobs import Archive, find_archive
from keeprt.engine.archive.needs import bound_threads, default_threads, needs_of_a_file
from keeprt.engine.archive.on_ray import OnRay, import_ray
from keeprt.engine.archive.one import Row, Rules
from keeprt.engine.archive.page import page
from keeprt.engine.archive.recipe import Recipe
from keeprt.engine.archive.run import ArchiveResult, Engine, Progress, in_turn, restore_archive
from keeprt.engine.cli.options import many as a
from keeprt.engine.cli.options import network as n
from keeprt.engine.cli.options import pictures as o
from keeprt.engine.cli.options import results as r
from keeprt.engine.cli.terminal.console import alert, announce, note
from keeprt.engine.errors import UsageError
from keeprt.engine.opening import on_a_card
from keeprt.engine.pipeline import RestoreOptions
from keeprt.engine.restorer import DEFAULT_WINDOW
from keeprt.engine.summaries import write_summary
from keeprt.engine.summaries.envelope import write_text

DEFAULTS = RestoreOptions()


def archive(
    source: a.Tapes,
    out: a.Restored,
    # The network.
    bundle: n.Bundle = Path("bundle"),
    bypass: n.Bypass = False,
    window: n.Window = DEFAULT_WINDOW,
    backend: n.Backend = "onnxruntime",
    provider: n.Provider = "cpu",
    device: n.Device = 0,
    threads: n.Threads = None,
    # Every file.
    faces: o.Faces = DEFAULTS.faces,
    min_size: o.MinSize = DEFAULTS.min_size,
    strength: o.Strength = DEFAULTS.strength,
    detect_every: o.DetectEvery = DEFAULTS.detect_every,
    detect_side: o.DetectSide = DEFAULTS.detect_side,
    scale: o.Scale = DEFAULTS.scale,
    codec: o.Codec = "auto",
    crf: o.Crf = None,
    bitrate: o.Bitrate = None,
    preset: o.Preset = "medium",
    given: a.Set = None,
    # The run.
    engine: a.Engine = "none",
    ray_address: a.RayAddress = None,
    gpus_per_file: a.GpusPerFile = 0.0,
    retries: a.Retries = 2,
    attempts: a.Attempts = 3,
    retry_failed: a.RetryFailed = False,
    verify: a.Verify = "quick",
    overwrite: r.Overwrite = False,
    json: a.Summary = None,
    report: a.Page = None,
) -> None:
    """Restore every video of a folder, each once.

    A rerun does the rest. Beside each output lies a receipt. Exit code 1 if a file failed; the
    others are done.

    Example: keeprt archive tapes restored --bundle bundle --json report.json
    """
    options: dict[str, Any] = {
        "faces": faces,
        "min_size": min_size,
        "strength": strength,
        "detect_every": detect_every,
        "detect_side": detect_side,
        "scale": scale,
        "codec": codec,
        "crf": crf,
        "bitrate": bitrate,
        "preset": preset,
        **dict(_pair(text) for text in given or ()),
    }
    load = {
        "backend": backend,
        "provider": provider,
        "window": window,
        "device": device,
    }
    if engine == "ray":
        threads = threads or default_threads()
    recipe = Recipe(None if bypass else str(bundle.resolve()), {}, options, threads)
    if not bypass:
        load["max_faces"] = recipe.restore_options().batch
        recipe = dataclasses.replace(recipe, load=load)
    rules = Rules(attempts, retry_failed, verify == "deep", overwrite)
    found = find_archive(source, out)
    if found.skipped:
        note(f"{len(found.skipped)} files are no video and are left alone")
    chosen: Engine = in_turn
    if engine == "ray" and threads:
        on_card = on_a_card(backend, provider)
        needs = needs_of_a_file(recipe.bundle, threads, on_card=on_card)
        import_ray()
        chosen = OnRay(needs, ray_address, gpus_per_file, retries)
    elif threads:
        bound_threads(threads)
    # Ray says on stdout what befell its workers; that is for results.
    with redirect_stdout(sys.stderr):
        result = restore_archive(found, recipe, rules, chosen, _say)
    _finish(result, found, json, report)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set is {text!r}: give NAME=VALUE")
    return name.strip().replace("-", "_"), value


def _say(row: Row, progress: Progress) -> None:
    what = f"{row.frames} frames" if row.status != "failed" else row.error
    (alert if row.status == "failed" else note)(f"{progress}: {row.source}: {row.status}, {what}")


def _finish(result: ArchiveResult, found: Archive, json: Path | None, report: Path | None) -> None:
    counts = dict.fromkeys(("restored", "done before", "failed"), 0)
    for row in result.rows:
        counts[row.status] += 1
    announce(", ".join(f"{count} {status}" for status, count in counts.items()))
    if json is not None:
        content = {
            "files": len(result.rows),
            **{status.replace(" ", "_"): count for status, count in counts.items()},
            "frames": sum(row.frames for row in result.rows if row.status == "restored"),
            "seconds": result.seconds,
            "left_alone": list(found.skipped),
            "rows": [dataclasses.asdict(row) for row in result.rows],
        }
        write_summary(json, "archive", content)
    if report is not None:
        write_text(report, page(result))
    if result.failed:
        raise typer.Exit(1)
