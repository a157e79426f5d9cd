"""From what is asked for to what is run: the options of `keeprt evaluate`, checked and loaded."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from os import cpu_count
from pathlib import Path

from keeprt.benchmarks.evaluate.clips import MADE, SharpClip, sharp_clips
from keeprt.benchmarks.evaluate.levels import parse_levels
from keeprt.benchmarks.evaluate.measure import Measure, pictures_measures
from keeprt.benchmarks.evaluate.methods import BASELINES, OURS, Method, baselines, our_methods
from keeprt.benchmarks.evaluate.networks import (
    COMMON_OPTIONS,
    IDENTITY_OPTIONS,
    LANDMARK_OPTIONS,
    identity_measure,
    landmarks_measure,
    lpips_measure,
)
from keeprt.benchmarks.evaluate.onnx_clip import onnx_clip_method
from keeprt.benchmarks.evaluate.onnx_file import OnnxNetwork, parse_file
from keeprt.benchmarks.evaluate.onnx_method import onnx_method
from keeprt.benchmarks.evaluate.run import Plan
from keeprt.benchmarks.evaluate.warping import warping_measure
from keeprt.engine.bundle.load import Bundle, load_bundle
from keeprt.engine.errors import UsageError
from keeprt.engine.faces.alignment import FACE_SIZE
from keeprt.engine.restorer import DEFAULT_CHUNK, DEFAULT_WINDOW

_LIBRARIES = (
    "keeprt",
    "onnxruntime",
    "onnxruntime-gpu",
    "opencv-python-headless",
    "scikit-image",
    "av",
)


@dataclass(frozen=True)
class Request:
    """The command's options, as its help says them."""

    out: Path
    bundle: Path | None = None
    clips: Sequence[Path] = ()
    aligned: bool = False
    detector: Path | None = None
    frames: int = 16
    levels: str = "mild,medium,heavy"
    sigma: str | None = None
    noise: str | None = None
    crf: str | None = None
    downscale: int = 4
    seed: int = 0
    methods: str | None = None
    onnx: Sequence[str] = ()
    onnx_clip: Sequence[str] = ()
    lpips: str | None = None
    identity: str | None = None
    landmarks: str | None = None
    column: int | None = None
    provider: str = "cpu"
    threads: int | None = None
    device: int = 0
    window: int = DEFAULT_WINDOW
    chunk: int = DEFAULT_CHUNK
    command: str = ""


@dataclass(frozen=True)
class Prepared:
    """Everything that was asked for, loaded. frames: to be restored at most, for a progress bar."""

    plan: Plan
    clips: Iterator[SharpClip]
    frames: int


def prepare(asked: Request) -> Prepared:
    """Loads the networks and checks all options, before any work. Raises KeeprtError."""
    if asked.seed < 0:
        raise UsageError(f"seed is {asked.seed}; give 0 or more")
    levels = parse_levels(
        asked.levels,
        sigma=asked.sigma,
        noise=asked.noise,
        crf=asked.crf,
        downscale=asked.downscale,
    )
    bundle = None if asked.bundle is None else load_bundle(asked.bundle)
    size = FACE_SIZE if bundle is None else bundle.face_size
    clips = sharp_clips(
        asked.clips,
        asked.frames,
        size,
        aligned=asked.aligned,
        detector=asked.detector,
        seed=asked.seed,
    )
    methods = _methods(asked, bundle, size)
    plan = Plan(
        levels,
        methods,
        _measures(asked, size),
        asked.out,
        asked.seed,
        asked.column,
        _facts(asked, bundle),
        bundle is not None and bundle.is_synthetic,
    )
    total = max(1, len(asked.clips)) * len(levels) * len(methods) * asked.frames
    return Prepared(plan, clips, total)


def _methods(asked: Request, bundle: Bundle | None, size: int) -> list[Method]:
    known = (*BASELINES, *OURS)
    default = known if bundle else BASELINES
    names = asked.methods.split(",") if asked.methods else list(default)
    unknown = [name for name in names if name not in known]
    if unknown or len(set(names)) < len(names):
        raise UsageError(f"methods {','.join(names)!r}: choose from {', '.join(known)}, each once")
    ours = [name for name in names if name in OURS]
    if ours and bundle is None:
        raise UsageError(f"{', '.join(ours)} need a BUNDLE: make one with `keeprt export`")
    found = [method for method in baselines() if method.name in names]
    if bundle is not None:
        found += our_methods(
            bundle,
            names=ours,
            provider=asked.provider,
            threads=asked.threads,
            device=asked.device,
            window=asked.window,
            chunk=asked.chunk,
        )
    how = (asked.provider, asked.threads, asked.device)
    others = [onnx_method(text, size, *how) for text in asked.onnx]
    others += [onnx_clip_method(text, asked.downscale, *how) for text in asked.onnx_clip]
    for method in others:
        if method.name in [other.name for other in found]:
            raise UsageError(f"two methods are called {method.name}")
        found.append(method)
    return found


def _measures(asked: Request, size: int) -> list[Measure]:
    def network(text: str | None, allowed: Sequence[str]) -> OnnxNetwork | None:
        if text is None:
            return None
        return OnnxNetwork(parse_file(text, allowed), asked.provider, asked.threads, asked.device)

    return [
        *pictures_measures(),
        lpips_measure(network(asked.lpips, COMMON_OPTIONS), size),
        identity_measure(network(asked.identity, IDENTITY_OPTIONS), size),
        landmarks_measure(network(asked.landmarks, LANDMARK_OPTIONS), size),
        warping_measure(),
    ]


def _facts(asked: Request, bundle: Bundle | None) -> dict[str, str]:
    facts = {}
    if bundle is not None:
        facts["weights"] = bundle.manifest.weights_source
        facts["bundle"] = f"{bundle.manifest.precision}, {bundle.identity[:16]}"
    facts["clips"] = ", ".join(path.name for path in asked.clips) or MADE
    facts["seed"] = str(asked.seed)
    facts["machine"] = f"{platform.system()} {platform.machine()}, {cpu_count()} cores"
    facts["provider"] = asked.provider
    facts["versions"] = ", ".join(filter(None, map(_version, _LIBRARIES)))
    if asked.command:
        facts["command"] = asked.command
    facts["date"] = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return facts


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""
