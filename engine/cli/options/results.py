"""Options of what a command leaves behind: summaries, reports, folders, and leave to replace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from keeprt.engine.cli.options.declaration import Names, option
from keeprt.engine.cli.options.states import (
    FROM_FOLDER,
    INTO_FOLDER,
    LIVE,
    PLANS,
    PREDICTS,
    STANDARD_STREAM,
    VIDEO,
)

ALL = "restore bench verify evaluate demo export build inspect doctor"

Json = Annotated[
    Path | None,
    option(
        "--json",
        "restore bench evaluate demo export build inspect doctor",
        "Write a summary there; '-' for stdout.",
        names=Names.OUTPUT,
        metavar="FILE|-",
    ),
]
VerifyJson = Annotated[
    Path | None,
    option(
        "--json",
        "verify",
        "Result file, written after every frame; pictures go into a folder beside it. "
        "'-' for stdout.",
        names=Names.OUTPUT,
        metavar="FILE|-",
    ),
]
Report = Annotated[
    Path | None,
    option(
        "--report",
        "bench verify evaluate",
        "Write an HTML page there.",
        names=Names.OUTPUT,
        metavar="FILE.html",
    ),
]
Junit = Annotated[
    Path | None, option("--junit", "verify", "JUnit XML file, for CI.", names=Names.OUTPUT)
]
BenchJunit = Annotated[
    Path | None,
    option(
        "--junit",
        "bench",
        "JUnit XML file of the comparison with --baseline.",
        names=Names.OUTPUT,
        idle=[VIDEO, PREDICTS, PLANS, LIVE],
    ),
]
SamplesCsv = Annotated[
    Path | None,
    option(
        "--csv",
        "bench",
        "Every timed call as a row.",
        names=Names.OUTPUT,
        idle=[VIDEO, PREDICTS, PLANS, LIVE],
    ),
]
Overwrite = Annotated[
    bool,
    option(
        "--overwrite",
        "restore archive bench verify evaluate demo inspect doctor selftest build live",
        "Replace files that are there, and what a folder holds.",
    ),
]
Receipt = Annotated[
    Path | None,
    option(
        "--receipt",
        "restore",
        "Skip what this file says is done, else restore and write it; as `keeprt archive` does.",
        names=Names.KEPT,
        metavar="FILE",
        idle=[INTO_FOLDER, FROM_FOLDER, STANDARD_STREAM],
    ),
]
ReplaceBundle = Annotated[bool, option("--overwrite,--force", "export", "Replace an old bundle.")]
BundleFolder = Annotated[
    Path, option("--out", "export", "Folder of the bundle.", names=Names.FOLDER)
]
PlanFolder = Annotated[
    Path | None, option("--out", "build", "Folder of the plans.", names=Names.STORE)
]
DemoFolder = Annotated[
    Path, option("--out", "demo", "Folder for everything it makes.", names=Names.STORE)
]
EvaluationFolder = Annotated[
    Path,
    option("--out", "evaluate", "Folder for clips, pictures, evaluate.json.", names=Names.FOLDER),
]
SelftestPage = Annotated[
    Path | None,
    option("--report", "selftest", "Page (Markdown) to send back.", names=Names.OUTPUT),
]
SelftestJson = Annotated[
    Path | None,
    option("--json", "selftest", "The same as JSON.", names=Names.OUTPUT),
]
