"""Options of whole videos: which faces, what part, and how it is encoded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from keeprt.engine.cli.options.declaration import Choice, Names, Number, Whole, argument, option
from keeprt.engine.cli.options.states import (
    ALIGNED,
    ALIGNED_CLIP,
    BITRATE,
    BYPASS,
    EARLIER,
    FROM_FOLDER,
    INTO_FOLDER,
    KNOWN_FACES,
    NO_CLIP,
    NO_PRESETS,
    SAME_SIZE,
)
from keeprt.engine.pipeline.options import MAX_SCALE

Source = Annotated[
    str, argument("IN", "restore", "Video, address, folder; - is stdin.", names=Names.INPUT)
]
Restored = Annotated[
    Path, argument("OUT", "restore", "Video file or folder; - is stdout.", names=Names.VIDEO)
]

# Which faces, and how they are found.
Faces = Annotated[
    str,
    option(
        "--faces",
        "restore archive",
        "Which are restored: all, largest, center, or a number N.",
        idle=[ALIGNED],
    ),
]
MinSize = Annotated[
    float,
    option(
        "--min-size",
        "restore archive",
        "Shorter side in pixels below which a face is left alone.",
        allowed=Number(0),
        idle=[ALIGNED],
    ),
]
Strength = Annotated[
    float,
    option(
        "--strength",
        "restore archive",
        "How much of the restored face is blended in, 0 to 1.",
        allowed=Number(0, 1),
        idle=[ALIGNED, BYPASS],
    ),
]
DetectEvery = Annotated[
    int,
    option(
        "--detect-every",
        "restore archive",
        "Look for faces in every K-th frame; tracks carry on between.",
        allowed=Whole(1, 10),
        idle=[ALIGNED, KNOWN_FACES],
    ),
]
DetectSide = Annotated[
    int,
    option(
        "--detect-side",
        "restore archive",
        "Longer side of what the detector sees; more finds smaller faces.",
        allowed=Whole(64, 8192),
        idle=[ALIGNED, KNOWN_FACES],
    ),
]
Lookahead = Annotated[
    int | None,
    option(
        "--lookahead",
        "restore",
        "Frames seen ahead; 0 for live use. Default: all that help.",
        allowed=Whole(0),
        idle=[ALIGNED],
    ),
]
Detector = Annotated[
    Path | None,
    option(
        "--detector",
        "restore",
        "ONNX file of another face detector.",
        names=Names.INPUT,
        idle=[ALIGNED, KNOWN_FACES],
    ),
]
ClipDetector = Annotated[
    Path | None,
    option(
        "--detector",
        "verify evaluate",
        "ONNX file of another face detector.",
        names=Names.INPUT,
        idle=[EARLIER, ALIGNED_CLIP, NO_CLIP],
    ),
]
Landmarks = Annotated[
    Path | None,
    option(
        "--landmarks",
        "restore",
        "Take the faces from this file; write it if it is not there.",
        names=Names.KEPT,
        idle=[ALIGNED],
    ),
]
Identity = Annotated[
    Path | None,
    option(
        "--identity",
        "restore",
        "ONNX file of ArcFace's kind that tells people apart.",
        names=Names.INPUT,
        idle=[ALIGNED],
    ),
]
Interlaced = Annotated[
    str,
    option(
        "--interlaced",
        "restore",
        "Interlaced video: field by field, frame (both as one), refuse.",
        idle=[ALIGNED],
    ),
]

# What comes out.
DrawTracks = Annotated[
    bool,
    option("--draw-tracks", "restore", "Draw boxes, track numbers and landmarks.", idle=[ALIGNED]),
]
SaveCrops = Annotated[
    Path | None,
    option(
        "--save-crops",
        "restore",
        "Folder for the aligned faces, PNG.",
        names=Names.FOLDER,
        idle=[ALIGNED],
    ),
]
Start = Annotated[
    float,
    option("--start", "restore", "Seconds into the video to start at.", allowed=Number(0)),
]
Duration = Annotated[
    float | None,
    option("--duration", "restore", "Seconds to restore.", allowed=Number(0, above=True)),
]
HardwareDecoder = Annotated[
    str | None,
    option(
        "--hwaccel",
        "restore",
        "'cuda': decode on the NVIDIA card. --codec h264_nvenc encodes.",
        idle=[FROM_FOLDER],
    ),
]
Scale = Annotated[
    int,
    option(
        "--scale",
        "restore archive",
        "Enlarge the video so many times.",
        allowed=Whole(1, MAX_SCALE),
        idle=[ALIGNED],
    ),
]
UpscalerFile = Annotated[
    Path | None,
    option(
        "--upscaler",
        "restore",
        "ONNX file that enlarges the background; default Lanczos.",
        names=Names.INPUT,
        idle=[ALIGNED, SAME_SIZE],
    ),
]

OnDamage = Annotated[
    str,
    option(
        "--on-damage",
        "restore",
        "Damage in the input: stop, or skip and count it.",
        allowed=Choice(("stop", "skip")),
        idle=[FROM_FOLDER],
    ),
]
Programme = Annotated[
    int | None,
    option(
        "--programme",
        "restore",
        "Number of a transport stream's programme; default the first.",
        allowed=Whole(1, 65535),
        idle=[FROM_FOLDER],
    ),
]
Audio = Annotated[
    str,
    option(
        "--audio",
        "restore",
        "Sound: copy, aac, none, or numbers of streams such as 0,2.",
        idle=[INTO_FOLDER],
    ),
]
Subtitles = Annotated[
    str,
    option(
        "--subtitles",
        "restore",
        "copy or none.",
        allowed=Choice(("copy", "none")),
        idle=[INTO_FOLDER],
    ),
]
Format = Annotated[
    str | None,
    option("--format", "restore", "Container for a pipe: matroska or mpegts."),
]

# How it is encoded; the range of --crf is the encoder's, see `check`.
Codec = Annotated[
    str,
    option("--codec", "restore archive", "Video encoder, for example libx265.", idle=[INTO_FOLDER]),
]
Crf = Annotated[
    float | None,
    option(
        "--crf",
        "restore archive",
        "Quality in the encoder's own scale.",
        idle=[INTO_FOLDER, BITRATE],
    ),
]
Bitrate = Annotated[
    int | None,
    option(
        "--bitrate",
        "restore archive",
        "Bits per second, in place of --crf.",
        allowed=Whole(1, 2**31 - 1),
        idle=[INTO_FOLDER],
    ),
]
Preset = Annotated[
    str,
    option(
        "--preset",
        "restore archive",
        "Encoder's speed against size.",
        idle=[INTO_FOLDER, NO_PRESETS],
    ),
]
