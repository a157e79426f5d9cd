"""Options of `keeprt train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from keeprt.engine.cli.options.declaration import Choice, Names, Whole, option
from keeprt.engine.cli.options.states import NO_KALMAN

Data = Annotated[
    list[Path] | None,
    option(
        "--data",
        "train",
        "Videos, or folders of videos or images; may be repeated.",
        names=Names.INPUT,
    ),
]
# not compared with what is there: --resume writes it in the end, and nothing else replaces it
Out = Annotated[Path, option("--out", "train", "The weights, .safetensors; beside them a folder.")]
Recipe = Annotated[
    str,
    option(
        "--recipe",
        "train",
        "'paper', or 'demo', which needs no data.",
        allowed=Choice(("paper", "demo")),
    ),
]
Config = Annotated[
    str | None,
    option(
        "--config",
        "train",
        "The network. Default: small for the demo, else full.",
        allowed=Choice(("full", "small", "tiny")),
    ),
]
Flow = Annotated[
    str,
    option(
        "--flow",
        "train",
        "Ablation: a pyramid like PWC-Net, or none, in place of GMFlow.",
        allowed=Choice(("gmflow", "pyramid", "none")),
        idle=[NO_KALMAN],
    ),
]
Stage = Annotated[
    str,
    option(
        "--stage",
        "train",
        "Each begins with what the ones before it left.",
        allowed=Choice(("1", "flow", "2", "3", "all")),
    ),
]
Steps = Annotated[
    int | None,
    option(
        "--steps",
        "train",
        "Of all chosen stages, in the recipe's proportion.",
        allowed=Whole(1),
    ),
]
Resume = Annotated[bool, option("--resume", "train", "Go on where it was stopped.")]
Perceptual = Annotated[
    Path | None,
    option(
        "--perceptual",
        "train",
        "TorchScript of a perceptual network (VGG-like).",
        names=Names.INPUT,
    ),
]
Seed = Annotated[int, option("--seed", "train", "Of weights and batches.", allowed=Whole(0))]
Device = Annotated[
    str, option("--device", "train", "What trains it.", allowed=Choice(("cpu", "cuda")))
]
Threads = Annotated[
    int | None, option("--threads", "train", "CPU threads of a process.", allowed=Whole(1))
]
Workers = Annotated[
    int, option("--workers", "train", "Processes that make batches.", allowed=Whole(0))
]
CheckpointEvery = Annotated[
    int,
    option("--checkpoint-every", "train", "Steps between checkpoints.", allowed=Whole(1)),
]
