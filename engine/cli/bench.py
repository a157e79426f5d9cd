"""`keeprt bench`: how fast a bundle runs here, beside its rivals and the machine's limits."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import typer

from keeprt.engine.cli.options import measuring as m
from keeprt.engine.cli.options import network as n
from keeprt.engine.cli.options import results as r
from keeprt.engine.cli.terminal.console import alert, need, output, warn_synthetic
from keeprt.engine.cli.terminal.progress import status
from keeprt.engine.errors import UsageError
from keeprt.engine.live.options import parse_rate
from keeprt.engine.restorer import DEFAULT_CHUNK, DEFAULT_WINDOW
from keeprt.engine.summaries import public_command, write_summary

EXIT_WORSE = 1
VIDEO_ROUNDS, LIVE_FRAMES, LEAST_SIDE = 3, 250, 64


def bench(
    bundle: n.BundleArgument = Path("bundle"),
    mode: n.BenchMode = "stream",
    scenario: m.Scenario = "latency",
    faces: m.BenchFaces = "",
    rivals: m.Rivals = "eager,onnxruntime",
    rounds: m.Rounds = None,
    frames: m.BenchFrames = None,
    rates: m.LiveRates = "25,29.97,50,59.94",
    size: m.LiveSize = "1280x720",
    delay: m.LiveDelay = "160ms",
    window: n.Window = DEFAULT_WINDOW,
    chunk: n.Chunk = DEFAULT_CHUNK,
    threads: n.BenchThreads = None,
    weights: n.BenchWeights = "",
    backend: n.Backend = "onnxruntime",
    provider: n.Provider = "cpu",
    device: n.Device = 0,
    predict: m.Predict = "",
    earlier: m.Sized = None,
    plan: m.Plan = "",
    video: m.Video = None,
    baseline: m.BenchBaseline = None,
    junit: r.BenchJunit = None,
    samples: r.SamplesCsv = None,
    json: r.Json = None,
    report: r.Report = None,
    layers: m.Layers = None,
    overwrite: r.Overwrite = False,
) -> None:
    """Measure speed, latency, memory and distance from the limits.

    An interrupted run shows and writes what it has measured.

    Exit code with --baseline: 0 no regression, 1 one, 2 nothing to compare.

    Example: keeprt bench bundle --mode both --faces 1,2 --json bench.json --report bench.html
    """
    if plan:
        _plan(earlier, plan, json)
        return
    outputs = Outputs(json, report, samples, junit, baseline)
    if junit is not None and baseline is None:
        raise UsageError("--junit holds the verdict on a --baseline: give one, or leave it out")
    if earlier is not None:
        files = need("keeprt.benchmarks.bench.results_file", "all")
        _show(files.load_result(earlier), outputs)
        return
    if predict:
        _predict(bundle, predict, window, json, report)
        return
    if video is not None:
        how = (backend, provider, threads, device)
        _video(video, bundle, rounds or VIDEO_ROUNDS, how, json, report)
        return
    if scenario == "live":
        on_air = (_rates(rates), _size(size), delay, frames or LIVE_FRAMES)
        _live((bundle, *on_air, backend, provider, threads, window, device), json, report)
        return
    run = need("keeprt.benchmarks.bench.run", "all")
    options = run.Options(
        bundle=bundle,
        weights=weights,
        modes=n.MODES if mode == "both" else (mode,),
        scenario=scenario,
        faces=_numbers(faces) if faces else (),
        rivals=_names(rivals),
        rounds=rounds,
        frames=frames,
        window=window,
        chunk=chunk,
        threads=threads,
        backend=backend,
        provider=provider,
        device=device,
        command=public_command(sys.argv[1:]),
    )
    if baseline is not None:
        need("keeprt.benchmarks.bench.results_file", "all").load_result(baseline)
    with status() as say:
        if layers is not None:
            need("keeprt.benchmarks.bench.layers", "all").write_layers(options, layers, say)
        result = run.run_bench(options, say, lambda partial: _write(partial, outputs))
    _show(result, outputs)


@dataclass(frozen=True)
class Outputs:
    """Where results go, and the run that they are held against."""

    json: Path | None = None
    report: Path | None = None
    samples: Path | None = None
    junit: Path | None = None
    baseline: Path | None = None


def _show(result: Any, outputs: Outputs) -> None:
    found = _compared(result, outputs)
    _write(result, outputs, found)
    if found is None:
        return
    output.print(need("keeprt.benchmarks.bench.tables", "all").comparison_table(found))
    for note in found.notes:
        output.print(note, soft_wrap=True)
    style = "red" if found.worse else "green"
    output.print(found.headline(), style=style, soft_wrap=True)
    if found.worse:
        raise typer.Exit(EXIT_WORSE)


def _compared(result: Any, outputs: Outputs) -> Any:
    if outputs.baseline is None:
        return None
    files = need("keeprt.benchmarks.bench.results_file", "all")
    comparison = need("keeprt.benchmarks.bench.comparison", "all")
    found = comparison.compare(result, files.load_result(outputs.baseline))
    if outputs.junit is not None:
        junit = need("keeprt.benchmarks.junit", "all")
        cases = comparison.junit_cases(found)
        about = {"command": result.command, **result.bundle, **result.machine}
        junit.write_junit_file(outputs.junit, junit.junit_xml("keeprt bench", cases, about))
    return found


def _write(result: Any, outputs: Outputs, found: Any = None) -> None:
    if outputs.json is not None:
        result.write_json(outputs.json)
    if outputs.samples is not None:
        need("keeprt.benchmarks.bench.results_file", "all").write_csv(result, outputs.samples)
    if outputs.report is not None:
        page = need("keeprt.benchmarks.bench.page", "all")
        page.write_page(result, outputs.report, comparison=found)
    for table in need("keeprt.benchmarks.bench.tables", "all").bench_tables(result):
        output.print(table)
    for warning in result.warnings:
        alert(f"warning: {warning}")
    if result.bundle["weights"].startswith("synthetic:"):
        warn_synthetic()


def _plan(earlier: Path | None, question: str, json: Path | None) -> None:
    if earlier is None:
        raise UsageError("--plan and --from go together: --from bench.json --plan hours=10000")
    plan = need("keeprt.benchmarks.sizing.plan", "all")
    asked = plan.parse_question(question)
    measured = plan.read_measured(earlier)
    found = plan.size(measured, asked)
    for line in plan.sentences(measured, found):
        output.print(line, highlight=False, markup=False, soft_wrap=True)
    if json is not None:
        write_summary(json, "bench", {"measured": asdict(measured), "sizing": asdict(found)})


def _predict(bundle: Path, cards: str, window: int, json: Path | None, report: Path | None) -> None:
    found = need("keeprt.benchmarks.bench.predictions", "all").predictions(bundle, cards, window)
    if json is not None:
        write_summary(json, "bench", {"predictions": [asdict(one) for one in found]})
    if report is not None:
        command = public_command(sys.argv[1:])
        page = need("keeprt.benchmarks.bench.predictions_page", "all")
        page.write_predictions(found, report, command)
    for table in need("keeprt.benchmarks.bench.tables", "all").prediction_tables(found):
        output.print(table)


def _video(
    file: Path, bundle: Path, rounds: int, how: Any, json: Path | None, report: Path | None
) -> None:
    module = need("keeprt.benchmarks.bench.video", "all")
    command = public_command(sys.argv[1:])
    options = module.VideoOptions(file, bundle, rounds, *how, command=command)
    with status() as say:
        result = module.bench_video(options, say)
    if json is not None:
        write_summary(json, "bench", {"video": result.content()})
    if report is not None:
        module.write_video_page(result, report)
    for table in module.video_tables(result):
        output.print(table)
    if warning := result.load.warning():
        alert(f"warning: {warning}")


def _live(how: Any, json: Path | None, report: Path | None) -> None:
    module = need("keeprt.benchmarks.bench.on_air.run", "all")
    options = module.LiveBenchOptions(*how, command=public_command(sys.argv[1:]))
    with status() as say:
        result = module.bench_live(options, say, lambda found: _write_live(found, json, report))
    _write_live(result, json, report)


def _write_live(result: Any, json: Path | None, report: Path | None) -> None:
    page = need("keeprt.benchmarks.bench.on_air.page", "all")
    if json is not None:
        write_summary(json, "bench", {"live": result.content()})
    if report is not None:
        page.write_live_page(result, report)
    for table in page.live_tables(result):
        output.print(table)
    if result.load is not None and (warning := result.load.warning()):
        alert(f"warning: {warning}")


def _rates(text: str) -> tuple[Fraction, ...]:
    return tuple(parse_rate(one.strip()) for one in text.split(","))


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{2,4})x(\d{2,4})", text)
    if not found or any(int(side) % 2 or int(side) < LEAST_SIDE for side in found.groups()):
        raise UsageError(f"--size {text!r}: give even numbers from {LEAST_SIDE} on, as 1280x720")
    return int(found[1]), int(found[2])


def _numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise UsageError(f"--faces {text!r}: give whole numbers from 1 on, such as 1,2,4")
    return numbers


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    return () if names == ("none",) else names
