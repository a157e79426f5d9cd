"""Options of `keeprt evaluate`: what is made poor, restored and judged by what."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from keeprt.engine.cli.options.declaration import Names, Whole, option
from keeprt.engine.cli.options.states import EARLIER, NO_CLIP


def onnx_paths(value: str | Iterable[str]) -> list[str]:
    """The files in `[NAME=]FILE[,key=value]...`, once or several times."""
    texts = [value] if isinstance(value, str) else value
    firsts = [re.split(r",(?=\w+=)", text)[0] for text in texts]
    return [re.sub(r"^[\w.-]+=", "", first) for first in firsts]


EvaluatedClips = Annotated[
    list[Path] | None,
    option(
        "--clip",
        "evaluate",
        "Sharp video or folder of images; repeatable. Default: a made one.",
        names=Names.INPUT,
        idle=[EARLIER],
    ),
]
AlignedClip = Annotated[
    bool,
    option(
        "--aligned",
        "verify evaluate",
        "The whole picture of a clip is one aligned face.",
        idle=[EARLIER, NO_CLIP],
    ),
]
EvaluatedFrames = Annotated[
    int,
    option(
        "--frames",
        "evaluate",
        "Frames of each clip, 2 or more.",
        allowed=Whole(2),
        idle=[EARLIER],
    ),
]
Level = Annotated[
    str,
    option(
        "--level",
        "evaluate",
        "mild, medium, heavy, with the ranges of the paper's Table A1.",
        idle=[EARLIER],
    ),
]
Sigma = Annotated[
    str | None,
    option(
        "--sigma",
        "evaluate",
        "Range of the blur, for one --level.",
        idle=[EARLIER],
        metavar="LO,HI",
    ),
]
Noise = Annotated[
    str | None,
    option(
        "--noise",
        "evaluate",
        "Range of the noise, in 8-bit levels.",
        idle=[EARLIER],
        metavar="LO,HI",
    ),
]
DegradingCrf = Annotated[
    str | None,
    option(
        "--crf",
        "evaluate",
        "Range of libx264's rate factor.",
        idle=[EARLIER],
        metavar="LO,HI",
    ),
]
Downscale = Annotated[
    int,
    option(
        "--downscale",
        "evaluate",
        "Whole factor r of Eq. 9.",
        allowed=Whole(1),
        idle=[EARLIER],
    ),
]
Seed = Annotated[
    int,
    option(
        "--seed",
        "evaluate",
        "Of the ranges' draws and the noise.",
        allowed=Whole(0),
        idle=[EARLIER],
    ),
]
Methods = Annotated[
    str | None,
    option(
        "--methods",
        "evaluate",
        "Of degraded, bicubic, per-frame, stream, clip; default all.",
        idle=[EARLIER],
    ),
]
OnnxMethods = Annotated[
    list[str] | None,
    option(
        "--onnx",
        "evaluate",
        "A face restorer of others, frame by frame; repeatable. "
        "FILE[,range=0..1][,output=PORT][,w=W]; range -1..1 by default; w is CodeFormer's.",
        names=Names.INPUT,
        paths=onnx_paths,
        idle=[EARLIER],
        metavar="NAME=FILE",
    ),
]
OnnxClips = Annotated[
    list[str] | None,
    option(
        "--onnx-clip",
        "evaluate",
        "A video network of others, from small frames (1,T,3,h,w); repeatable. "
        "FILE[,frames=T][,overlap=K][,range=0..1]; a free T takes the whole clip.",
        names=Names.INPUT,
        paths=onnx_paths,
        idle=[EARLIER],
        metavar="NAME=FILE",
    ),
]
Lpips = Annotated[
    str | None,
    option(
        "--lpips-onnx",
        "evaluate",
        "LPIPS: two inputs (1,3,S,S), one number out.",
        names=Names.INPUT,
        paths=onnx_paths,
        idle=[EARLIER],
        metavar="FILE",
    ),
]
Identity = Annotated[
    str | None,
    option(
        "--identity-onnx",
        "evaluate",
        "IDS: ArcFace, one input (1,3,112,112), output (1,D). [,crop=whole]",
        names=Names.INPUT,
        paths=onnx_paths,
        idle=[EARLIER],
        metavar="FILE",
    ),
]
Keypoints = Annotated[
    str | None,
    option(
        "--landmarks-onnx",
        "evaluate",
        "AKD: one input (1,3,S,S), output (1,K,2) in its pixels. [,points=unit] "
        "Default: CenterFace's five points.",
        names=Names.INPUT,
        paths=onnx_paths,
        idle=[EARLIER],
        metavar="FILE",
    ),
]
Column = Annotated[
    int | None,
    option(
        "--column",
        "evaluate",
        "Column of the flicker picture; default the middle.",
        allowed=Whole(0),
        idle=[EARLIER],
    ),
]
EarlierFolder = Annotated[
    Path | None,
    option(
        "--from",
        "evaluate",
        "Show an earlier run's --out; runs nothing.",
        names=Names.INPUT,
        metavar="DIR",
    ),
]
