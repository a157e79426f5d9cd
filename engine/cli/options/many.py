"""Options of what goes beyond one file: archives and channels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from keeprt.engine.cli.options.declaration import Choice, Names, Number, Whole, argument, option
from keeprt.engine.cli.options.states import CHECKS, NO_RAY, WRITES

ENGINES = ("none", "ray")

# Archives. IN and OUT may be URLs, so they are no files that the command line could compare.
Tapes = Annotated[
    str,
    argument("IN", "archive", "Folder, URL (s3://...), or a manifest (.csv, .jsonl).", names=None),
]
Restored = Annotated[str, argument("OUT", "archive", "Folder or URL for the results.", names=None)]
Engine = Annotated[
    str,
    option(
        "--engine",
        "archive",
        "'ray': one task a file on a cluster or this machine. 'none': one file after the other.",
        allowed=Choice(ENGINES),
    ),
]
RayAddress = Annotated[
    str | None,
    option("--ray-address", "archive", "A cluster's; default: a Ray of our own.", idle=[NO_RAY]),
]
GpusPerFile = Annotated[
    float,
    option(
        "--gpus-per-file",
        "archive",
        "Share of a card that a file asks for.",
        allowed=Number(0, 64),
        idle=[NO_RAY],
    ),
]
Retries = Annotated[
    int,
    option(
        "--retries",
        "archive",
        "How often a file whose worker died is given to another.",
        allowed=Whole(0, 100),
        idle=[NO_RAY],
    ),
]
Attempts = Annotated[
    int,
    option(
        "--attempts",
        "archive",
        "Processes that may die of a file before it is given up.",
        allowed=Whole(1, 1000),
    ),
]
RetryFailed = Annotated[bool, option("--retry-failed", "archive", "Try again what failed before.")]
Verify = Annotated[
    str,
    option(
        "--verify",
        "archive",
        "How an output is believed: 'quick' by size and time, 'deep' by its SHA-256.",
        allowed=Choice(("quick", "deep")),
    ),
]
Summary = Annotated[
    Path | None,
    option(
        "--json",
        "archive",
        "Write a summary there, a row for each file; '-' for stdout.",
        names=Names.RENEWED,
        metavar="FILE|-",
    ),
]
Page = Annotated[
    Path | None,
    option(
        "--report",
        "archive",
        "Write an HTML page there, a row for each file.",
        names=Names.RENEWED,
        metavar="FILE.html",
    ),
]
Set = Annotated[
    list[str] | None,
    option(
        "--set",
        "archive",
        "Any other option of a file by the name that RestoreOptions has, such as lookahead=0.",
        metavar="NAME=VALUE",
    ),
]

# Channels.
Served = Annotated[
    Path | None, argument("BUNDLE", "triton", "Folder of the bundle.", names=Names.INPUT)
]
Repository = Annotated[
    Path | None,
    option("--out", "triton", "Folder of the model repository.", names=Names.STORE, idle=[CHECKS]),
]
Check = Annotated[
    str | None,
    option("--check", "triton", "Send one frame to a server: HOST:PORT of its gRPC."),
]
ServedFaces = Annotated[
    int,
    option("--faces", "triton", "Faces of one batch.", allowed=Whole(1, 64), idle=[CHECKS]),
]
Sequences = Annotated[
    int,
    option("--sequences", "triton", "Channels at once.", allowed=Whole(1, 4096), idle=[CHECKS]),
]
Idle = Annotated[
    float,
    option(
        "--idle",
        "triton",
        "Seconds after which a silent client's place is free.",
        allowed=Number(0, 86400, above=True),
        idle=[CHECKS],
    ),
]
DelayMs = Annotated[
    float,
    option(
        "--delay-ms",
        "triton",
        "How long a frame may wait for others to fill a batch.",
        allowed=Number(0, 10000),
        idle=[CHECKS],
    ),
]
Timeout = Annotated[
    float,
    option(
        "--timeout",
        "triton",
        "Seconds that --check waits for its frame.",
        allowed=Number(0, 3600, above=True),
        idle=[WRITES],
    ),
]
