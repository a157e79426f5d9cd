"""The demo: a made clip restored frame by frame and with its past, measured, and shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2

from keeprt.benchmarks.demo_clip import DemoClip, demo_clip
from keeprt.engine.bundle.load import DEMO, Bundle, load_bundle
from keeprt.engine.errors import BundleError, UsageError
from keeprt.engine.frame.pixels import Picture
from keeprt.engine.pipeline.aligned_clip import restored_faces
from keeprt.engine.restorer import Restorer
from keeprt.export.training.degradation import Degradation
from keeprt.kernels.installing import install

# Bad enough that a frame alone does not say what it was of; within what the demo's network knows.
SHOWN = Degradation(blur_sigma=5.0, downscale=4, noise_sigma=15.0, crf=38)
# frames of the clip for a large network and for a small one, if none are asked for
SHORT, LONG = 12, 50
_SMALL_FACE = 256


@dataclass
class Demo:
    """Where the demo's things lie, and what came out of it."""

    out: Path
    weights: str
    bundle: Bundle
    clip: DemoClip
    per_frame: list[Picture] = field(default_factory=list)
    stream: list[Picture] = field(default_factory=list)
    stage_seconds: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)

    @property
    def input(self) -> Path:
        """Folder of the degraded frames."""
        return self.out / "input"

    @property
    def clips(self) -> dict[str, Sequence[Picture]]:
        """What is shown, from left to right."""
        return {
            "degraded": self.clip.degraded,
            "per-frame": self.per_frame,
            "keeprt": self.stream,
            "sharp": self.clip.sharp,
        }

    def summary(self) -> Iterator[tuple[str, str]]:
        """What was restored, and where the time of the stream went."""
        yield "weights", self.bundle.manifest.weights_source
        yield "frames", str(len(self.clip.degraded))
        for stage, spent in self.stage_seconds.items():
            yield f"ms a frame, {stage}", f"{1e3 * spent / len(self.stream):.1f}"

    def facts(self) -> dict[str, Any]:
        """What was restored, for a JSON file."""
        return {
            "weights": self.bundle.manifest.weights_source,
            "bundle": self.bundle.identity,
            "frames": len(self.clip.degraded),
            "seconds_per_frame": {
                stage: spent / len(self.stream) for stage, spent in self.stage_seconds.items()
            },
        }


def prepare(
    out: Path,
    weights: str,
    frames: int | None,
    *,
    say: Callable[[str], None],
    notify: Callable[[str], None],
) -> Demo:
    """Makes the degraded clip, and the bundle unless one of these weights is there already."""
    began = time.perf_counter()
    bundle = _bundle(out / "bundle", weights, say, notify)
    say("making a degraded face clip")
    count = frames or (LONG if bundle.face_size <= _SMALL_FACE else SHORT)
    clip = demo_clip(count, size=bundle.face_size, degradation=SHOWN)
    demo = Demo(out, weights, bundle, clip, began=began)
    demo.input.mkdir(parents=True, exist_ok=True)
    for old in demo.input.glob("*.png"):
        old.unlink()
    for index, face in enumerate(clip.degraded):
        write_png(demo.input / f"frame_{index:06d}.png", face)
    return demo


def restore(demo: Demo, window: int, on_frame: Callable[[], None]) -> None:
    """Restores the clip twice, each frame alone and in stream mode; `on_frame` after each."""
    restorer = Restorer.load(demo.bundle.path, mode="stream", window=window)
    for face in demo.clip.degraded:
        alone, _ = restorer.restore(face, restorer.new_state())
        demo.per_frame.append(alone.copy())
        on_frame()
    restorer.stage_seconds.clear()
    for restored in restored_faces(demo.clip.degraded, restorer):
        demo.stream.append(restored.copy())
        on_frame()
    demo.stage_seconds = dict(restorer.stage_seconds)


def write_png(path: Path, picture: Picture) -> None:
    """Raises UsageError for a file that cannot be written."""
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise UsageError(f"cannot write {path}")


def _bundle(
    path: Path, weights: str, say: Callable[[str], None], notify: Callable[[str], None]
) -> Bundle:
    """The bundle that comes along, or one in the demo's folder, exported unless it is there,
    whole, and of these weights. Raises UsageError where exporting needs what is not installed."""
    if weights == DEMO:
        return load_bundle(DEMO)
    try:
        export = import_module("keeprt.export.pipeline")
        sources = import_module("keeprt.export.weights.load")
    except ModuleNotFoundError as error:
        raise UsageError(f"--weights {weights} needs {error.name}: {install('export')}") from None
    try:
        bundle = load_bundle(path)
        if bundle.manifest.weights_source == sources.describe_source(weights):
            return bundle
    except BundleError:
        pass
    export.export_weights(
        weights,
        path,
        overwrite=True,
        on_stage=lambda name: say(f"exporting {name} (once)"),
        notify=notify,
    )
    return load_bundle(path)
