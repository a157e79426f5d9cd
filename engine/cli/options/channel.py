"""Options of a live channel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from keeprt.engine.cli.options.config import from_file
from keeprt.engine.cli.options.declaration import Choice, Names, Number, Whole, argument, option
from keeprt.engine.cli.options.network import BACKENDS, PROVIDERS
from keeprt.engine.cli.options.states import (
    NO_CONTROL,
    NOT_RESTORED,
    ON_CPU,
    OTHER_BACKEND,
)
from keeprt.engine.live.options import CODECS, INTERLACED

From = Annotated[
    str, argument("SRC", "live", "udp://@:5000, srt://:9000, file:x.ts?pace, pipe:", names=None)
]
To = Annotated[str, argument("DST", "live", "udp://239.1.1.1:5000, file:x.ts, pipe:", names=None)]
Bundle = Annotated[
    Path | None,
    option("--bundle", "live", "Folder of the bundle.", names=Names.INPUT, idle=[NOT_RESTORED]),
]
Delay = Annotated[
    str, option("--delay", "live", "From picture in to picture out: 160ms, 4f (frames) or auto.")
]
Rate = Annotated[
    str, option("--rate", "live", "Frames a second, such as 25 or 30000/1001; auto: the source's.")
]
Bypass = Annotated[
    bool, option("--bypass", "live", "Begin with the originals; without a bundle, only them.")
]
Faces = Annotated[
    str,
    option(
        "--faces",
        "live",
        "Which are restored: all, largest, center, or a number N.",
        idle=[NOT_RESTORED],
    ),
]
Strength = Annotated[
    float,
    option(
        "--strength",
        "live",
        "How much of the restored face is blended in, 0 to 1.",
        allowed=Number(0, 1),
        idle=[NOT_RESTORED],
    ),
]
DetectEvery = Annotated[
    int,
    option(
        "--detect-every",
        "live",
        "Look for faces in every K-th frame; tracks carry on between.",
        allowed=Whole(1, 10),
        idle=[NOT_RESTORED],
    ),
]
DetectSide = Annotated[
    int,
    option(
        "--detect-side",
        "live",
        "Longer side of what the detector sees; more finds smaller faces.",
        allowed=Whole(64, 8192),
        idle=[NOT_RESTORED],
    ),
]
MinSize = Annotated[
    float,
    option(
        "--min-size",
        "live",
        "Shorter side in pixels below which a face is left alone.",
        allowed=Number(0),
        idle=[NOT_RESTORED],
    ),
]
Lookahead = Annotated[
    int,
    option(
        "--lookahead",
        "live",
        "Frames seen ahead, inside the delay: cuts are told better.",
        allowed=Whole(0, 3),
        idle=[NOT_RESTORED],
    ),
]
OnLoss = Annotated[
    str,
    option("--on-loss", "live", "What covers a loss: repeat=500ms,black=2s,slate=FILE."),
]
Codec = Annotated[
    str,
    option("--codec", "live", "What is sent; auto: the source's.", allowed=Choice(CODECS)),
]
Bitrate = Annotated[
    int | None,
    option(
        "--bitrate",
        "live",
        "Bits per second of the picture. Default: by its size.",
        allowed=Whole(1, 2**31 - 1),
    ),
]
Preset = Annotated[str, option("--preset", "live", "Encoder's speed against size.")]
Interlaced = Annotated[
    str,
    option(
        "--interlaced",
        "live",
        "Interlaced video: bypass, or frame (both fields restored as one).",
        allowed=Choice(INTERLACED),
    ),
]
Programme = Annotated[
    int | None,
    option(
        "--programme",
        "live",
        "Number of a transport stream's programme; default the first.",
        allowed=Whole(1, 65535),
    ),
]
Backend = Annotated[
    str,
    option(
        "--backend",
        "live",
        "onnxruntime; on an NVIDIA card, with plans: rtx or tensorrt.",
        allowed=BACKENDS,
        idle=[NOT_RESTORED],
    ),
]
Provider = Annotated[
    str,
    option(
        "--provider",
        "live",
        "ONNX Runtime's: cpu, or cuda on an NVIDIA card.",
        allowed=PROVIDERS,
        idle=[NOT_RESTORED, OTHER_BACKEND],
    ),
]
Device = Annotated[
    int,
    option(
        "--device",
        "live",
        "Number of the NVIDIA card.",
        allowed=Whole(0),
        idle=[NOT_RESTORED, ON_CPU],
    ),
]
Threads = Annotated[
    int,
    option(
        "--threads",
        "live",
        "Threads in an operator of the network.",
        allowed=Whole(1, 1024),
        idle=[NOT_RESTORED],
    ),
]
Window = Annotated[
    int,
    option(
        "--window",
        "live",
        "Frames that a gain sees, the first among them.",
        allowed=Whole(2),
        idle=[NOT_RESTORED],
    ),
]
Control = Annotated[
    str, option("--control", "live", "Address of the control page, HOST:PORT, or off.")
]
TokenFile = Annotated[
    Path | None,
    option(
        "--token-file",
        "live",
        "Holds the token that the page asks for.",
        names=Names.INPUT,
        idle=[NO_CONTROL],
    ),
]
Preview = Annotated[
    str,
    option(
        "--preview",
        "live",
        "The page's picture before and after: ws or off.",
        allowed=Choice(("ws", "off")),
        idle=[NO_CONTROL],
    ),
]
Config = Annotated[
    Path | None,
    option(
        "--config",
        "live",
        "TOML with these options by name, and source and sink; what is typed counts more.",
        names=Names.INPUT,
        metavar="FILE.toml",
        is_eager=True,
        callback=from_file,
    ),
]
Check = Annotated[
    bool, option("--check", "live", "Look at everything without going on air, and end.")
]
Json = Annotated[
    Path | None,
    option(
        "--json",
        "live",
        "Write the channel's last status there; '-' for stdout.",
        names=Names.OUTPUT,
        metavar="FILE|-",
    ),
]
