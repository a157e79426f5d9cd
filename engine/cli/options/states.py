"""The states of a command in which some of its options have no effect."""

from __future__ import annotations

from pathlib import Path

from keeprt.engine.cli.options.declaration import Values, When
from keeprt.engine.devices.cuda.driver import has_card
from keeprt.engine.media.containers import CONTAINERS, VIDEO_SUFFIXES
from keeprt.engine.media.places import is_address, is_stream
from keeprt.engine.media.writing.encoding import choose_codec

ON_A_CARD = ("rtx", "tensorrt")
TAKE_PRESET = ("libx264", "libx265")
#: How the names of rivals begin that compute with PyTorch.
BY_TORCH = ("eager", "compile", "graphs")


def writes_folder(values: Values) -> bool:
    """Whether `keeprt restore` writes images."""
    out = Path(values["out"])
    if values["format_name"] is not None or is_stream(out):
        return False
    return not out.suffix or out.is_dir()


def encoder_of(values: Values) -> str:
    """The encoder that OUT and --codec lead to, as far as the source's depth does not matter."""
    # What an archive writes into its folder begins with libx264, WebM left out.
    container = CONTAINERS.get(Path(values["out"]).suffix.lower(), CONTAINERS[".mp4"])
    return choose_codec(values["codec"], container.muxer, 8)


def precision_of(asked: str) -> str:
    """The precision that --precision leads to: `auto` is what fits this machine."""
    if asked != "auto":
        return asked
    return "fp16-norms" if has_card() else "fp32"


def _on_cpu(values: Values) -> bool:
    backend = values.get("backend", "onnxruntime")
    return bool(backend == "onnxruntime" and values["provider"] == "cpu")


def _not_restored(values: Values) -> bool:
    """Whether a live channel has no network at all."""
    return bool(values["bypass"] and values["bundle"] is None)


def _modes(values: Values) -> set[str]:
    mode = values.get("mode", "stream")
    return {"stream", "clip"} if mode == "both" else {mode}


def _methods(values: Values) -> set[str]:
    """Those of the network that `keeprt evaluate` runs."""
    if values["bundle"] is None:
        return set()
    asked = values["methods"]
    return {"stream", "clip", "per-frame"} if asked is None else set(asked.split(","))


def _networks(values: Values) -> bool:
    """Whether `keeprt evaluate` opens any network by ONNX Runtime."""
    others = ("onnx", "onnx_clip", "lpips_onnx", "identity_onnx", "landmarks_onnx")
    return bool(_methods(values) & {"stream", "clip", "per-frame"}) or any(map(values.get, others))


def _reuses_landmarks(values: Values) -> bool:
    return values["landmarks"] is not None and Path(values["landmarks"]).exists()


STREAM = When(
    "in stream mode", "restore bench verify", lambda v: "clip" not in _modes(v), "add --mode clip"
)
CLIP = When("in clip mode", "restore bench verify", lambda v: "stream" not in _modes(v))
BYPASS = When("with --bypass", "restore archive", lambda v: v["bypass"])
ALIGNED = When("with --aligned", "restore", lambda v: v["aligned"])
WHOLE_FRAMES = When("without --aligned", "restore", lambda v: not v["aligned"])
OTHER_BACKEND = When(
    "with another backend than onnxruntime",
    "restore archive bench verify live",
    lambda v: v["backend"] != "onnxruntime",
)
ON_CPU = When(
    "on the CPU",
    "restore archive live bench verify evaluate",
    _on_cpu,
    "choose a backend or a provider of a card",
)
NO_PLANS_RUN = When(
    "without plans",
    "bench",
    lambda v: v["backend"] not in ON_A_CARD,
    "add --backend rtx or tensorrt",
)
ON_CARD = When("on a card", "restore archive evaluate", lambda v: not _on_cpu(v))
NOT_RESTORED = When("with --bypass and no --bundle", "live", _not_restored)
NO_CONTROL = When("with --control off", "live", lambda v: v["control"] == "off")
INTO_FOLDER = When("where OUT is a folder of images", "restore", writes_folder)
FROM_FOLDER = When(
    "where IN is a folder of images", "restore", lambda v: Path(v["source"]).is_dir()
)
STANDARD_STREAM = When(
    "where IN or OUT is no file",
    "restore",
    lambda v: any(is_stream(v[n]) or is_address(str(v[n])) for n in ("source", "out")),
)
BITRATE = When("with --bitrate", "restore archive", lambda v: v["bitrate"] is not None)
NO_PRESETS = When(
    f"for another encoder than {' and '.join(TAKE_PRESET)}",
    "restore",
    lambda v: (
        not writes_folder(v)
        and Path(v["out"]).suffix.lower() in VIDEO_SUFFIXES
        and encoder_of(v) not in TAKE_PRESET
    ),
)
SAME_SIZE = When("without --scale of 2 or more", "restore", lambda v: v["scale"] == 1)
KNOWN_FACES = When("where the --landmarks file is there", "restore", _reuses_landmarks)
COLD = When("in the scenario cold", "bench", lambda v: v["scenario"] == "cold")
LIVE = When("in the scenario live", "bench", lambda v: v["scenario"] == "live")
NOT_LIVE = When(
    "in another scenario than live",
    "bench",
    lambda v: v["scenario"] != "live",
    "add --scenario live",
)
PLANS = When("with --plan", "bench", lambda v: bool(v["plan"]))
VIDEO = When("with --video", "bench", lambda v: v["video"] is not None)
PREDICTS = When("with --predict", "bench", lambda v: bool(v["predict"]))
EARLIER = When(
    "with --from",
    "verify evaluate",
    lambda v: (v.get("earlier") or v.get("from_folder")) is not None,
)
PACKED = When(
    "where the --pack file is there",
    "verify",
    lambda v: v["pack"] is not None and Path(v["pack"]).exists(),
)
NO_TORCH_RIVAL = When(
    "without a rival by PyTorch",
    "bench",
    lambda v: not any(name.strip().startswith(BY_TORCH) for name in v["rivals"].split(",")),
)
NO_CLIP = When("without --clip", "verify evaluate", lambda v: not v["clip"])
ALIGNED_CLIP = When("with --aligned", "verify evaluate", lambda v: v["aligned"])
NO_STREAM = When("without the method stream", "evaluate", lambda v: "stream" not in _methods(v))
NO_CLIP_METHOD = When("without the method clip", "evaluate", lambda v: "clip" not in _methods(v))
NO_NETWORK = When("where no network is run", "evaluate", lambda v: not _networks(v))
FLOAT32 = When(
    "in float32",
    "export",
    lambda v: precision_of(v["precision"]) == "fp32",
    "add --precision fp16-norms",
)
NO_KALMAN = When("with --without-kalman", "train", lambda v: v["without_kalman"])
NO_RAY = When("without --engine ray", "archive", lambda v: v["engine"] != "ray", "add it")
CHECKS = When("with --check", "triton", lambda v: v["check"] is not None)
WRITES = When("without --check", "triton", lambda v: v["check"] is None)
