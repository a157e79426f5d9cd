"""`keeprt build`: TensorRT plans for a bundle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from keeprt.engine.backends.tensorrt_plans import BuildRequest, Listener, Made, build_plans
from keeprt.engine.bundle import Bundle, load_bundle
from keeprt.engine.cli.console import console, output
from keeprt.engine.errors import UsageError
from keeprt.engine.plans import PlanKey, Profile


def build(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")] = Path("bundle"),
    flavor: Annotated[
        str, typer.Option(help="'rtx' (RTX cards, builds anywhere) or 'tensorrt' (this card).")
    ] = "rtx",
    target: Annotated[
        str, typer.Option(help="Compute capabilities, as sm86,sm89,sm120; none: this card's.")
    ] = "",
    faces: Annotated[str, typer.Option(help="Faces at once: smallest,usual,largest.")] = "1,1,1",
    frames: Annotated[
        str, typer.Option(help="Frames in a gain's window: smallest,usual,largest.")
    ] = "2,8,8",
    selected: Annotated[
        str, typer.Option(help="Gains at once (a chunk's length for clip mode).")
    ] = "1,1,1",
    portable: Annotated[
        bool, typer.Option("--portable", help="One plan for all targets, with more memory.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder of the plans.")] = None,
) -> None:
    """Build a plan for every subgraph, or find it built; needs no GPU for flavor 'rtx'.

    Example: keeprt build bundle --flavor rtx --target sm86,sm89,sm120 --faces 1,1,4
    """
    checked = load_bundle(bundle)
    request = BuildRequest(
        flavour=flavor,
        targets=tuple(name.strip() for name in target.split(",") if name.strip()),
        profile=Profile(
            faces=sizes("faces", faces),
            frames=sizes("frames", frames),
            selected=sizes("selected", selected),
        ),
        portable=portable,
    )
    if checked.manifest.precision == "fp32":
        console.print(
            "note: this bundle computes in float32; `keeprt export --precision mixed` makes one "
            "that takes half the memory and runs on tensor cores",
            style="yellow",
        )
    with _listener() as listener:
        made = build_plans(checked, request, out, listener)
    output.print(plans_table(checked, made))


def sizes(option: str, text: str) -> tuple[int, int, int]:
    """Three sizes from "1,1,4", or one for all three from "4". Raises UsageError."""
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) == 1:
        found *= 3
    if len(found) != 3:
        raise UsageError(f"--{option} {text}: give smallest,usual,largest, such as 1,1,4")
    return found[0], found[1], found[2]


def plans_table(bundle: Bundle, made: list[Made]) -> Table:
    """What was built: size, memory, layers and work of each plan."""
    table = Table(
        "plan", "target", "seconds", "plan MB", "weights MB", "activations MB", "casts", "GFLOP"
    )
    for plan in made:
        note = plan.note
        work = bundle.subgraphs[note.key.subgraph].gflop
        gflop = f"{sum(work.values()):.1f}"
        if 0 < work.get("float32", 0) < sum(work.values()):
            gflop += f" ({work['float32'] / sum(work.values()):.1%} float32)"
        table.add_row(
            note.key.subgraph,
            note.key.target,
            "cached" if plan.cached else f"{note.seconds:.1f}",
            f"{note.size_bytes / 1e6:.1f}",
            f"{note.weights_bytes / 1e6:.1f}",
            f"{note.activation_bytes / 1e6:.1f}",
            str(note.casts),
            gflop,
        )
    return table


@contextmanager
def _listener() -> Iterator[Listener]:
    """A progress bar that the builder itself moves."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("building")

        def on_plan(key: PlanKey) -> None:
            progress.reset(task, description=f"{key.subgraph} for {key.target}")

        def on_step(phase: str, done: int, total: int) -> None:
            progress.update(task, completed=done, total=max(total, 1))

        yield Listener(
            on_plan=on_plan,
            on_step=on_step,
            on_made=lambda made: progress.update(task, completed=1, total=1),
            notify=lambda text: console.print(text, markup=False, highlight=False),
        )
