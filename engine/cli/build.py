"""`keeprt build`: TensorRT plans for a bundle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from rich.table import Table

from keeprt.engine.bundle.load import Bundle, load_bundle
from keeprt.engine.cli.options import making as m
from keeprt.engine.cli.options import network as n
from keeprt.engine.cli.options import results as r
from keeprt.engine.cli.terminal.console import note, output
from keeprt.engine.cli.terminal.progress import steps
from keeprt.engine.errors import UsageError
from keeprt.engine.libraries.tensorrt.build_all import BuildRequest, Listener, Made, build_plans
from keeprt.engine.libraries.tensorrt.detector import SIZES, detector_of
from keeprt.engine.libraries.tensorrt.plan_store import PlanKey, Profile
from keeprt.engine.summaries import write_summary


def build(
    bundle: n.BundleArgument = Path("bundle"),
    flavor: m.Flavor = "rtx",
    target: m.Target = "",
    faces: m.ProfileFaces = "1,1,1",
    frames: m.ProfileFrames = "2,8,8",
    selected: m.Selected = "1,1,1",
    portable: m.Portable = False,
    detector: m.PlannedDetector = None,
    out: r.PlanFolder = None,
    overwrite: r.Overwrite = False,
    json: r.Json = None,
) -> None:
    """Build TensorRT plans for every subgraph, or find them built.

    The face detector has one too, beside them. Needs no GPU for flavor 'rtx'. Plans are added to
    their folder.

    Example: keeprt build bundle --flavor rtx --target sm86,sm89,sm120 --faces 1,1,4
    """
    checked = load_bundle(bundle)
    finder = detector_of(detector, checked.path)
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
        note(
            "note: this bundle computes in float32; `keeprt export --precision fp16-norms` makes "
            "one that takes half the memory and runs on tensor cores",
            style="yellow",
        )
    with _listener() as listener:
        made = build_plans(checked, request, out, listener)
        made += build_plans(finder, replace(request, profile=SIZES), out, listener)
    output.print(plans_table(checked, made))
    if json is not None:
        plans = [{"cached": plan.cached, **asdict(plan.note)} for plan in made]
        write_summary(json, "build", {"bundle": checked.identity, "plans": plans})


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
        table.add_row(
            note.key.subgraph,
            note.key.target,
            "cached" if plan.cached else f"{note.seconds:.1f}",
            f"{note.size_bytes / 1e6:.1f}",
            f"{note.weights_bytes / 1e6:.1f}",
            f"{note.activation_bytes / 1e6:.1f}",
            str(note.casts),
            _gflop(bundle, note.key.subgraph),
        )
    return table


def _gflop(bundle: Bundle, name: str) -> str:
    """The work of a subgraph and its share in float32; a detector's depends on the picture."""
    if name not in bundle.subgraphs:
        return ""
    work = bundle.subgraphs[name].gflop
    total = sum(work.values())
    mixed = 0 < work.get("float32", 0) < total
    return f"{total:.1f}" + (f" ({work['float32'] / total:.1%} float32)" if mixed else "")


@contextmanager
def _listener() -> Iterator[Listener]:
    """Progress that the builder itself moves."""
    with steps("building") as step:
        current = [""]

        def on_plan(key: PlanKey) -> None:
            current[0] = f"{key.subgraph} for {key.target}"
            step(current[0], 0, 0)

        yield Listener(
            on_plan=on_plan,
            on_step=lambda phase, done, total: step(current[0], done, max(total, 1)),
            on_made=lambda made: step(current[0], 1, 1),
            notify=note,
        )
