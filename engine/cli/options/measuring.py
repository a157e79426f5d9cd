"""Options of `keeprt bench`: what is measured, beside what, and for how long."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from keeprt.engine.cli.options.declaration import Choice, Names, Whole, option
from keeprt.engine.cli.options.states import (
    CLIP,
    COLD,
    LIVE,
    NO_PLANS_RUN,
    NOT_LIVE,
    PLANS,
    PREDICTS,
    VIDEO,
)

#: Those that `keeprt.benchmarks.bench.scenarios` describes.
SCENARIOS = ("latency", "throughput", "cold", "live")
Scenario = Annotated[
    str,
    option(
        "--scenario",
        "bench",
        "latency: one frame in flight. throughput: two, of 1 to 8 faces. cold: from a new process "
        "to its first frame, each round. live: how many streams go on air restored.",
        allowed=Choice(SCENARIOS),
        idle=[VIDEO, PREDICTS, CLIP],
    ),
]
BenchFaces = Annotated[
    str,
    option(
        "--faces",
        "bench",
        "Faces restored together in stream mode, such as 1,2,4. Default: 1; 1,2,4,8 for the "
        "scenario throughput.",
        idle=[VIDEO, PREDICTS, CLIP, LIVE],
    ),
]
Rivals = Annotated[
    str,
    option(
        "--rivals",
        "bench",
        "Rivals in the same run, where the engine runs: eager, compile (PyTorch; compiling takes "
        "minutes), onnxruntime (plain sessions); on a card eager-half, compile-half, graphs and "
        "graphs-half (PyTorch in CUDA graphs) too; 'none' for none.",
        idle=[VIDEO, PREDICTS, LIVE],
    ),
]
Rounds = Annotated[
    int | None,
    option(
        "--rounds",
        "bench",
        "Rounds; all contenders take turns in each. Default: 3; on a card so many that it is 1,000 "
        "frames and 60 s of the engine.",
        allowed=Whole(1),
        idle=[PREDICTS, LIVE],
    ),
]
BenchFrames = Annotated[
    int | None,
    option(
        "--frames",
        "bench",
        "Frames of a round in stream mode; in the scenario live, ticks of each stream that count. "
        "Default: 4; on a card 100; 250 in the scenario live.",
        allowed=Whole(1),
        idle=[VIDEO, PREDICTS, CLIP, COLD],
    ),
]
LiveRates = Annotated[
    str,
    option(
        "--rates",
        "bench",
        "Frames a second of the streams, such as 25,29.97.",
        idle=[NOT_LIVE],
    ),
]
LiveSize = Annotated[
    str,
    option("--size", "bench", "Width and height of the streams' pictures.", idle=[NOT_LIVE]),
]
LiveDelay = Annotated[
    str,
    option(
        "--delay",
        "bench",
        "Declared delay of the streams, such as 160ms: until then a restored picture counts.",
        idle=[NOT_LIVE],
    ),
]
Layers = Annotated[
    Path | None,
    option(
        "--layers",
        "bench",
        "Folder for each plan's layers and their times, as layers_NAME.json and "
        "profile_NAME.json: what NVIDIA's engine explorer (trex) reads.",
        names=Names.FOLDER,
        idle=[VIDEO, PREDICTS, PLANS, NO_PLANS_RUN, LIVE],
    ),
]
Predict = Annotated[
    str,
    option(
        "--predict",
        "bench",
        "Measure nothing: print the roofline floor of cards that are not here, from their "
        "datasheets, such as 'L4,RTX 4090'; 'all' for all.",
    ),
]

Sized = Annotated[
    Path | None,
    option(
        "--from",
        "bench",
        "Measure nothing: show an earlier --json again, against a --baseline or for a --plan.",
        names=Names.INPUT,
    ),
]
Plan = Annotated[
    str,
    option(
        "--plan",
        "bench",
        "With --from: how many machines, such as 'hours=10000,days=30' or 'channels=40'.",
    ),
]

Video = Annotated[
    Path | None,
    option(
        "--video",
        "bench",
        "Measure a whole video instead, from decode to encode, stage by stage.",
        names=Names.INPUT,
        idle=[PREDICTS],
    ),
]
BenchBaseline = Annotated[
    Path | None,
    option(
        "--baseline",
        "bench",
        "--json of an earlier run: exit code 1 where a median call takes over 5 % longer, beyond "
        "its 95 % interval, or memory is over 10 % larger.",
        names=Names.INPUT,
        idle=[VIDEO, PREDICTS, PLANS, LIVE],
    ),
]
