"""Options of `keeprt verify`: what is compared with the reference, and by which limits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from keeprt.engine.cli.options.declaration import Names, Whole, option
from keeprt.engine.cli.options.states import EARLIER, PACKED

VerifiedClip = Annotated[
    Path | None,
    option(
        "--clip",
        "verify",
        "Video whose largest face is restored. Default: the demo's made clip.",
        names=Names.INPUT,
        idle=[EARLIER, PACKED],
    ),
]
VerifiedFrames = Annotated[
    int,
    option(
        "--frames",
        "verify",
        "Frames to restore on both sides.",
        allowed=Whole(2),
        idle=[EARLIER, PACKED],
    ),
]
Samples = Annotated[
    int,
    option(
        "--samples",
        "verify",
        "Frames among them at which each subgraph is compared by itself.",
        allowed=Whole(2),
        idle=[EARLIER, PACKED],
    ),
]
Control = Annotated[
    bool,
    option(
        "--control",
        "verify",
        "Also run the reference against itself, disturbed once by the runtime's error "
        "at the first frame: shows what the network itself makes of rounding.",
        idle=[EARLIER, PACKED],
    ),
]
Thresholds = Annotated[
    Path | None,
    option(
        "--thresholds",
        "verify",
        "File of limits, in place of those that come with keeprt.",
        names=Names.INPUT,
    ),
]
Baseline = Annotated[
    Path | None,
    option(
        "--baseline",
        "verify",
        "--json of an earlier run of the same weights, clip, mode and number of frames; the "
        "bundle may be another export of them. An error of more than 1.5 times the baseline's "
        "fails, unless it is below the floor that the thresholds file gives for rounding.",
        names=Names.INPUT,
        idle=[PACKED],
    ),
]
Bisect = Annotated[
    bool,
    option(
        "--bisect",
        "verify",
        "Name the first layer that departs in what fails.",
        idle=[EARLIER, PACKED],
    ),
]
Soak = Annotated[
    int | None,
    option(
        "--soak",
        "verify",
        "So many frames, by the clip's there and back; memory and time get slopes.",
        allowed=Whole(2),
        idle=[EARLIER, PACKED],
    ),
]
Pack = Annotated[
    Path | None,
    option(
        "--pack",
        "verify",
        "Golden pack. Where the file is there it judges the bundle, without torch and without "
        "the weights' source; else it is made: four frames of the reference with all tensors, "
        "and the limits, sealed by hashes.",
        names=Names.KEPT,
        idle=[EARLIER],
    ),
]
PolygraphyFolder = Annotated[
    Path | None,
    option(
        "--polygraphy",
        "verify",
        "Folder for each subgraph's tensors in Polygraphy's format, with the commands.",
        names=Names.FOLDER,
        idle=[EARLIER, PACKED],
        metavar="DIR",
    ),
]
EarlierResult = Annotated[
    Path | None,
    option(
        "--from",
        "verify",
        "Judge and report this --json of an earlier run; no bundle.",
        names=Names.INPUT,
    ),
]
