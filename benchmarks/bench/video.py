"""`keeprt bench --video FILE`: a whole video from decode to encode, stage by stage."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from keeprt.benchmarks import report as r
from keeprt.benchmarks.bench.hardware.load import Load, LoadWatch
from keeprt.benchmarks.bench.hardware.machine import bundle_facts, machine_facts, machine_rows
from keeprt.benchmarks.bench.rivals.compositing import FACE_SIDES, compositing_times
from keeprt.engine.bundle.load import load_bundle
from keeprt.engine.errors import FaceError
from keeprt.engine.media import open_source
from keeprt.engine.pipeline import RestoreOptions, restore_video
from keeprt.engine.pipeline.loading import card_format, card_of, load_for, plans_of
from keeprt.engine.pipeline.options import DEFAULT_BATCH

OVERLAPPING = "overlapping"
COMPOSITINGS = 10  # of each way in a round
STAGES_NOTE = (
    "Milliseconds of a frame, medians over the rounds. The stages are timed with all of them after "
    "each other in one thread; overlapping is the time a frame takes with every stage in a thread "
    "of its own, as `keeprt restore` runs"
)
COMPOSITING_NOTE = (
    "CPU milliseconds for one face in a 1080p frame on one core, the ways in turn: the authors' "
    "works on the whole frame in floats, without its face parsing"
)


@dataclass(frozen=True)
class VideoOptions:
    """What to run."""

    file: Path
    bundle: Path
    rounds: int = 3
    backend: str = "onnxruntime"
    provider: str = "cpu"
    threads: int | None = None
    device: int = 0
    command: str = ""


@dataclass(frozen=True)
class VideoResult:
    """stages: milliseconds of a frame by stage, for each round. compositing: by the face's side and
    the way."""

    machine: Mapping[str, str]
    bundle: Mapping[str, str]
    command: str
    video: str
    width: int
    height: int
    frames: int
    faces: int
    rounds: tuple[Mapping[str, float], ...]
    compositing: Mapping[int, Mapping[str, float]]
    load: Load

    @property
    def medians(self) -> dict[str, float]:
        """By stage, `OVERLAPPING` last."""
        return {
            name: statistics.median(one[name] for one in self.rounds) for name in self.rounds[0]
        }

    def content(self) -> dict[str, Any]:
        """For the envelope's result."""
        content = asdict(self)
        return {name: content[name] for name in content if name not in ("machine", "command")}


def bench_video(options: VideoOptions, say: Callable[[str], None]) -> VideoResult:
    """Restores the video twice a round. Raises MediaError, FaceError, BundleError, BackendError."""
    bundle = load_bundle(options.bundle)
    how = {
        "backend": options.backend,
        "provider": options.provider,
        "threads": options.threads,
        "device": options.device,
        "max_faces": DEFAULT_BATCH,
    }
    with open_source(options.file) as source:
        info = source.info
    asked = RestoreOptions(card=card_of(how), plans=plans_of(options.bundle, how))
    format = card_format(info, asked, how)
    watch = LoadWatch()
    watch.start()
    rounds: list[dict[str, float]] = []
    compositing: list[dict[int, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.mp4"
        with load_for(options.bundle, format, how) as restorer:
            for number in range(options.rounds):
                say(f"round {number + 1} of {options.rounds}")
                alone = restore_video(options.file, out, restorer, replace(asked, threads=False))
                times = {n: 1e3 * s / alone.frames for n, s in alone.seconds.items()}
                start = time.perf_counter()
                restore_video(options.file, out, restorer, asked)
                times[OVERLAPPING] = (time.perf_counter() - start) / alone.frames * 1e3
                rounds.append(times)
                sides = FACE_SIDES
                compositing.append({s: compositing_times(s, COMPOSITINGS) for s in sides})
                watch.end_round()
    if not alone.tracks:
        raise FaceError(f"no face was found in {options.file.name}: there is nothing to measure")
    return VideoResult(
        machine_facts(options.threads),
        bundle_facts(bundle),
        options.command,
        options.file.name,
        info.width,
        info.height,
        alone.frames,
        len(alone.tracks),
        tuple(rounds),
        {
            side: {
                way: statistics.median(one[side][way] for one in compositing)
                for way in compositing[0][side]
            }
            for side in FACE_SIDES
        },
        watch.load(),
    )


def video_tables(result: VideoResult) -> Iterator[Table]:
    """For the console."""
    title = f"{result.video}, {result.width} x {result.height}: ms of a frame"
    table = Table("stage", title=title, box=box.SIMPLE_HEAD, caption=STAGES_NOTE)
    table.add_column("median", justify="right")
    table.add_column("share", justify="right")
    medians = result.medians
    total = sum(ms for name, ms in medians.items() if name != OVERLAPPING)
    for name, ms in medians.items():
        if name != OVERLAPPING:
            table.add_row(name, f"{ms:.1f}", f"{ms / total:.1%}")
    table.add_section()
    table.add_row("sum, one thread", f"{total:.1f}", f"{1e3 / total:.2f} fps")
    together = medians[OVERLAPPING]
    table.add_row(OVERLAPPING, f"{together:.1f}", f"{1e3 / together:.2f} fps")
    yield table
    ways = list(next(iter(result.compositing.values())))
    table = Table("compositing", title="CPU ms for one face in 1080p", box=box.SIMPLE_HEAD)
    for way in ways:
        table.add_column(way, justify="right")
    for side, times in result.compositing.items():
        table.add_row(f"{side} x {side} pixels", *(f"{times[way]:.2f}" for way in ways))
    yield table


def write_video_page(result: VideoResult, path: Path) -> None:
    """One HTML page. Raises UsageError or MediaError."""
    medians = result.medians
    stages = [name for name in medians if name != OVERLAPPING]
    total = sum(medians[name] for name in stages)
    ways = list(next(iter(result.compositing.values())))
    facts = [
        *machine_rows(result.machine),
        *((f"bundle {name}", value[:16]) for name, value in result.bundle.items()),
        ("other load", result.load.statement()),
        ("command", f"`{result.command}`"),
        ("date", date.today().isoformat()),
    ]
    warning = result.load.warning()
    highlights = r.Highlights(
        [
            r.Highlight("a frame, overlapping", medians[OVERLAPPING], "ms", digits=1),
            r.Highlight("frames per second", 1e3 / medians[OVERLAPPING], digits=2),
            r.Highlight("a frame, one thread", total, "ms", "sum of the stages", digits=1),
        ]
    )
    sections = [
        r.Section(
            "From decode to encode",
            [r.BarChart(stages, [r.Bars("median", [medians[s] for s in stages])], "ms", digits=1)],
            intro=f"{STAGES_NOTE}.",
        ),
        r.Section(
            "Compositing",
            [
                r.BarChart(
                    [f"{side} x {side}" for side in result.compositing],
                    [r.Bars(w, [t[w] for t in result.compositing.values()]) for w in ways],
                    "ms",
                    digits=2,
                )
            ],
            intro=f"{COMPOSITING_NOTE}.",
        ),
    ]
    page = r.Report(
        "A whole video",
        sections,
        subtitle=f"{result.video}, {result.width} x {result.height}, {result.frames} frames, "
        f"{result.faces} face{'s' if result.faces > 1 else ''}",
        facts=facts,
        summary=[*([r.Text(f"Warning: {warning}.", tone="note")] if warning else []), highlights],
    )
    r.write_report(page, path)
