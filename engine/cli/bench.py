"""`keeprt bench`: how fast a bundle runs here, beside its rivals and the machine's limits."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from keeprt.engine.cli.console import console, need, output, warn_synthetic
from keeprt.engine.errors import UsageError
from keeprt.engine.restorer import DEFAULT_CHUNK, DEFAULT_WINDOW


def bench(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")] = Path("bundle"),
    mode: Annotated[str, typer.Option(help="stream, clip or both.")] = "stream",
    faces: Annotated[
        str, typer.Option(help="Faces restored together in stream mode, such as 1,2,4.")
    ] = "1",
    rivals: Annotated[
        str,
        typer.Option(
            help="Rivals in the same run: eager, compile (PyTorch; compiling takes minutes), "
            "onnxruntime (plain sessions); 'none' for none."
        ),
    ] = "eager,onnxruntime",
    rounds: Annotated[int, typer.Option(help="Rounds; all contenders take turns in each.")] = 3,
    frames: Annotated[int, typer.Option(help="Frames of a round in stream mode.")] = 4,
    window: Annotated[int, typer.Option(help="Frames that a gain sees.")] = DEFAULT_WINDOW,
    chunk: Annotated[
        int, typer.Option(help="Frames of a chunk, which is a round in clip mode.")
    ] = (DEFAULT_CHUNK),
    threads: Annotated[
        int | None, typer.Option(help="Threads of each contender; one per core unless given.")
    ] = None,
    weights: Annotated[
        str, typer.Option(help="Weights of the PyTorch rivals, where the bundle's name is no help.")
    ] = "",
    backend: Annotated[str, typer.Option(help="onnxruntime, rtx or tensorrt.")] = "onnxruntime",
    provider: Annotated[str, typer.Option(help="ONNX Runtime's: cpu or cuda.")] = "cpu",
    predict: Annotated[
        str,
        typer.Option(
            help="Measure nothing: print the roofline floor of cards that are not here, from their "
            "datasheets, such as 'L4,RTX 4090'; 'all' for all."
        ),
    ] = "",
    json: Annotated[Path | None, typer.Option("--json", help="Write the results there.")] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write an HTML page there.")
    ] = None,
) -> None:
    """Measure speed, latency, memory and distance from the machine's limits.

    Example: keeprt bench bundle --mode both --faces 1,2 --json bench.json --report bench.html
    """
    run = need("keeprt.benchmarks.bench.run", "all")
    tables = need("keeprt.benchmarks.bench.tables", "all")
    if predict:
        predictions = need("keeprt.benchmarks.bench.predictions", "all")
        for table in tables.prediction_tables(predictions.predictions(bundle, predict, window)):
            output.print(table)
        return
    options = run.Options(
        bundle=bundle,
        weights=weights,
        modes=("stream", "clip") if mode == "both" else (mode,),
        faces=_numbers(faces),
        rivals=_names(rivals),
        rounds=rounds,
        frames=frames,
        window=window,
        chunk=chunk,
        threads=threads,
        backend=backend,
        provider=provider,
        command=_command(sys.argv[1:]),
    )
    for file in (json, report):
        _check_target(file)
    with console.status("") as status:
        result = run.run_bench(options, status.update)
    if json is not None:
        result.write_json(json)
    if report is not None:
        need("keeprt.benchmarks.bench.page", "all").write_page(result, report)
    for table in tables.bench_tables(result):
        output.print(table)
    if result.bundle["weights"].startswith("synthetic:"):
        warn_synthetic()


def _command(arguments: list[str]) -> str:
    """The command for the report, without the places of this machine's files."""
    return shlex.join(["keeprt", *(Path(one).name if "/" in one else one for one in arguments)])


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


def _check_target(file: Path | None) -> None:
    """A long run must not end in a folder that is not there."""
    if file is not None and not file.resolve().parent.is_dir():
        raise UsageError(f"cannot write {file}: its folder is not there")
