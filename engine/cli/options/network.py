"""Options of the network: which, in what mode, run by what. Annotations for the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from keeprt.engine.cli.options.declaration import Choice, Names, Whole, argument, option
from keeprt.engine.cli.options.states import (
    BYPASS,
    CLIP,
    EARLIER,
    LIVE,
    NO_CLIP_METHOD,
    NO_NETWORK,
    NO_STREAM,
    NO_TORCH_RIVAL,
    ON_CARD,
    ON_CPU,
    OTHER_BACKEND,
    PACKED,
    PREDICTS,
    STREAM,
    VIDEO,
    WHOLE_FRAMES,
)
from keeprt.engine.libraries.onnxruntime.providers import PROVIDERS as ONNX_PROVIDERS
from keeprt.engine.libraries.tensorrt.flavours import FLAVOURS

MODES = ("stream", "clip")
BACKENDS = Choice(("onnxruntime", *FLAVOURS))
PROVIDERS = Choice(tuple(ONNX_PROVIDERS))

BundleArgument = Annotated[
    Path, argument("BUNDLE", "bench build inspect", "Folder of the bundle.", names=Names.INPUT)
]
VerifiedBundle = Annotated[
    Path | None, argument("BUNDLE", "verify", "Folder of the bundle.", names=Names.INPUT)
]
EvaluatedBundle = Annotated[
    Path | None,
    argument(
        "BUNDLE", "evaluate", "Folder of the bundle; none for baselines only.", names=Names.INPUT
    ),
]
Bundle = Annotated[
    Path,
    option(
        "--bundle", "restore archive", "Folder of the bundle.", names=Names.INPUT, idle=[BYPASS]
    ),
]
Aligned = Annotated[bool, option("--aligned", "restore", "The whole picture is one aligned face.")]
Bypass = Annotated[
    bool, option("--bypass", "restore archive", "Everything but the network; no bundle is needed.")
]
Mode = Annotated[
    str,
    option(
        "--mode",
        "restore verify",
        "'stream': one in, one out. 'clip': as released, in chunks.",
        allowed=Choice(MODES),
        idle=[BYPASS, EARLIER],
    ),
]
BenchMode = Annotated[
    str,
    option(
        "--mode",
        "bench",
        "stream, clip or both.",
        allowed=Choice((*MODES, "both")),
        idle=[VIDEO, PREDICTS, LIVE],
    ),
]
Window = Annotated[
    int,
    option(
        "--window",
        "restore archive triton bench verify evaluate demo",
        "Frames that a gain sees in stream mode, the first among them.",
        allowed=Whole(2),
        idle=[VIDEO, BYPASS, CLIP, EARLIER, NO_STREAM],
    ),
]
Chunk = Annotated[
    int,
    option(
        "--chunk",
        "restore bench verify evaluate",
        "Frames of a chunk in clip mode.",
        allowed=Whole(1),
        idle=[BYPASS, STREAM, PREDICTS, EARLIER, NO_CLIP_METHOD],
    ),
]
CarryState = Annotated[
    bool,
    option(
        "--carry-state",
        "restore",
        "Clip mode, aligned: no reset between chunks.",
        idle=[WHOLE_FRAMES, STREAM],
    ),
]
Backend = Annotated[
    str,
    option(
        "--backend",
        "restore archive triton bench verify",
        "onnxruntime; on an NVIDIA card, with plans: rtx or tensorrt.",
        allowed=BACKENDS,
        idle=[BYPASS, PREDICTS, EARLIER],
    ),
]
NeededBackend = Annotated[
    str | None,
    option(
        "--backend",
        "doctor",
        "Exit code 1 if this one cannot run here: onnxruntime, rtx or tensorrt.",
        allowed=BACKENDS,
    ),
]
Provider = Annotated[
    str,
    option(
        "--provider",
        "restore archive bench verify evaluate",
        "ONNX Runtime's: cpu, or cuda on an NVIDIA card.",
        allowed=PROVIDERS,
        idle=[BYPASS, OTHER_BACKEND, PREDICTS, EARLIER, NO_NETWORK],
    ),
]
Device = Annotated[
    int,
    option(
        "--device",
        "restore archive bench verify evaluate",
        "Number of the NVIDIA card.",
        allowed=Whole(0),
        idle=[BYPASS, ON_CPU],
    ),
]
Eager = Annotated[
    bool,
    option(
        "--eager",
        "restore",
        "One operation at a time, to find out which one fails.",
        idle=[BYPASS],
    ),
]
Threads = Annotated[
    int | None,
    option(
        "--threads",
        "restore archive",
        "Threads of the network, of FFmpeg and of OpenCV each; default one per core. With 1, "
        "nothing runs beside anything else.",
        allowed=Whole(1, 1024),
    ),
]
NetworkThreads = Annotated[
    int | None,
    option(
        "--threads",
        "triton evaluate",
        "Threads in an operator; default one per core.",
        allowed=Whole(1, 1024),
        idle=[ON_CARD, EARLIER, NO_NETWORK],
    ),
]
VerifiedThreads = Annotated[
    int | None,
    option(
        "--threads",
        "verify",
        "Threads in an operator, of both; default one per core.",
        allowed=Whole(1, 1024),
        idle=[EARLIER],
    ),
]
BenchThreads = Annotated[
    int | None,
    option(
        "--threads",
        "bench",
        "Threads of each contender; one per core unless given, one in the scenario live.",
        allowed=Whole(1, 1024),
        idle=[PREDICTS],
    ),
]
Weights = Annotated[
    str,
    option(
        "--weights",
        "export",
        "'official' (newest), 'official-0.1', 'official-asian' (downloaded once), 'demo', a .pth "
        "or .safetensors, 'synthetic:SEED'.",
    ),
]
DemoWeights = Annotated[
    str | None,
    option(
        "--weights",
        "demo",
        "'demo', 'official', a .pth or .safetensors, 'synthetic:SEED'. Default: demo.",
    ),
]
VerifiedWeights = Annotated[
    str | None,
    option(
        "--weights",
        "verify",
        "The reference's weights. Default: those that the bundle names.",
        idle=[EARLIER, PACKED],
    ),
]
BenchWeights = Annotated[
    str,
    option(
        "--weights",
        "bench",
        "Weights of the PyTorch rivals, where the bundle's name is no help.",
        idle=[PREDICTS, NO_TORCH_RIVAL],
    ),
]
TriedBundle = Annotated[
    Path | None,
    option(
        "--bundle",
        "selftest",
        "Bundle to run frames of; without one, the machine only.",
        names=Names.INPUT,
    ),
]
TriedBackend = Annotated[
    str,
    option(
        "--backend",
        "selftest",
        "rtx or tensorrt, with plans; onnxruntime for its CUDA provider.",
        allowed=BACKENDS,
    ),
]
TriedDevice = Annotated[
    int, option("--device", "selftest", "Number of the NVIDIA card.", allowed=Whole(0))
]
TriedFrames = Annotated[
    int,
    option("--frames", "selftest", "Frames that memory is watched for.", allowed=Whole(1)),
]
