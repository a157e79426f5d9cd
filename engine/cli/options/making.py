"""Options of the commands that make things: demo, export, build."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from keeprt.engine.cli.options.declaration import Choice, Names, Whole, option
from keeprt.engine.cli.options.states import FLOAT32
from keeprt.engine.libraries.tensorrt.flavours import FLAVOURS

DemoFrames = Annotated[
    int | None,
    option(
        "--frames",
        "demo",
        "Frames of the clip. Default: 50 for small faces, else 12.",
        allowed=Whole(2),
    ),
]
ReferenceFrames = Annotated[
    int,
    option(
        "--reference-frames",
        "demo",
        "Frames to compare with the PyTorch reference.",
        allowed=Whole(0),
    ),
]
Precision = Annotated[
    str,
    option(
        "--precision",
        "export",
        "fp32; for cards fp16-norms (float16, LayerNorm and softmax float32), mixed (more float32 "
        "islands), fp16, bf16. auto: fp16-norms where this machine has an NVIDIA card, else fp32.",
        allowed=Choice(("auto", "fp32", "fp16-norms", "mixed", "fp16", "bf16")),
    ),
]
Calibrate = Annotated[
    Path | None,
    option(
        "--calibrate",
        "export",
        "A clip: what comes within 8 times of float16's range on it stays float32, or is refused.",
        metavar="CLIP",
        names=Names.INPUT,
        idle=[FLOAT32],
    ),
]
WithoutKalman = Annotated[
    bool, option("--without-kalman", "export train", "Ablation: no Kalman filter network.")
]
WithoutCfa = Annotated[
    bool, option("--without-cfa", "export train", "Ablation: no cross-frame attention.")
]
Flavor = Annotated[
    str,
    option(
        "--flavor",
        "build",
        "'rtx' (RTX cards, builds anywhere) or 'tensorrt' (this card).",
        allowed=Choice(tuple(FLAVOURS)),
    ),
]
Target = Annotated[
    str,
    option("--target", "build", "Compute capabilities, as sm86,sm89,sm120; none: this card's."),
]
PlannedDetector = Annotated[
    Path | None,
    option(
        "--detector",
        "build",
        "ONNX file of another face detector, to make its plan in place of the usual one's.",
        names=Names.INPUT,
    ),
]
ProfileFaces = Annotated[str, option("--faces", "build", "Faces at once: smallest,usual,largest.")]
ProfileFrames = Annotated[
    str, option("--frames", "build", "Frames in a gain's window: smallest,usual,largest.")
]
Selected = Annotated[
    str, option("--selected", "build", "Gains at once (a chunk's length for clip mode).")
]
Portable = Annotated[
    bool, option("--portable", "build", "One plan for all targets, with more memory.")
]
