"""The demo: a made clip through export, runtime and reference, and pictures of what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from keeprt.benchmarks.demo_clip import demo_clip
from keeprt.engine.aligned import restore_aligned, restored_faces, to_face
from keeprt.engine.bundle import Bundle, load_bundle
from keeprt.engine.errors import BundleError, UsageError
from keeprt.engine.media import open_sink, open_source
from keeprt.engine.pixels import Picture
from keeprt.engine.restorer import Restorer
from keeprt.export.checkpoint import describe_source
from keeprt.export.pipeline import export_weights, load_network
from keeprt.export.reference import reference_frames


@dataclass
class Demo:
    """Where the demo's things lie, and what was measured on the way."""

    out: Path
    weights: str
    bundle: Bundle
    frames: int = 0
    restorer: Restorer | None = field(default=None, repr=False)

    @property
    def input(self) -> Path:
        """Folder of the degraded frames."""
        return self.out / "input"

    @property
    def restored(self) -> Path:
        """The restored video."""
        return self.out / "restored.mp4"

    def summary(self) -> Iterator[tuple[str, str]]:
        """Rows of the table: files, frames, seconds per stage."""
        yield "weights", self.bundle.manifest.weights_source
        yield "restored clip", str(self.restored)
        yield "side by side", f"{self.out / 'side_by_side.mp4'}, {self.out / 'side_by_side.png'}"
        yield "frames", str(self.frames)
        if self.restorer:
            seconds = self.restorer.stage_seconds
            yield "seconds per frame", f"{sum(seconds.values()) / self.frames:.2f}"
            for stage, spent in seconds.items():
                yield f"  {stage}", f"{spent / self.frames:.3f}"


@dataclass(frozen=True)
class Agreement:
    """The runtime against the PyTorch reference on the same first frames."""

    frames: int
    psnr_db: float
    equal_codes: float

    def summary(self) -> Iterator[tuple[str, str]]:
        """Rows of the table."""
        if not self.frames:
            return
        psnr = "identical" if np.isinf(self.psnr_db) else f"{self.psnr_db:.1f} dB"
        yield f"agreement with PyTorch, {self.frames} frames", psnr
        yield "  equal codebook indices", f"{100 * self.equal_codes:.2f} %"


def prepare(
    out: Path,
    weights: str,
    frames: int,
    *,
    say: Callable[[str], None],
    notify: Callable[[str], None],
) -> Demo:
    """Makes the degraded clip, and the bundle unless one of these weights is there already."""
    say("making a degraded face clip")
    demo = Demo(out, weights, _bundle(out / "bundle", weights, say, notify), frames)
    demo.input.mkdir(exist_ok=True)
    for old in demo.input.glob("*.png"):
        old.unlink()
    for index, face in enumerate(demo_clip(frames, size=demo.bundle.face_size).degraded):
        _write_png(demo.input / f"frame_{index:06d}.png", face)
    return demo


def restore(demo: Demo, window: int, on_frame: Callable[[], None]) -> None:
    """Restores the clip in stream mode, with the same code as `keeprt restore --aligned`."""
    demo.restorer = Restorer.load(demo.bundle.path, mode="stream", window=window)
    size = demo.bundle.face_size
    with (
        open_source(demo.input) as video,
        open_sink(demo.restored, video.info, width=size, height=size) as sink,
    ):
        demo.frames = restore_aligned(video, sink, demo.restorer, on_frame=on_frame)


def compare(demo: Demo, window: int, frames: int) -> Agreement:
    """Runs the first frames through the PyTorch reference under the same mode and window."""
    if not frames:
        return Agreement(0, 0.0, 0.0)
    with open_source(demo.input) as video:
        faces = [to_face(frame.rgb(), demo.bundle.face_size) for frame in islice(video, frames)]
    network, _ = load_network(demo.weights)
    restorer = Restorer.load(demo.bundle.path, mode="stream", window=window)
    squared, equal = [], []
    restored = restored_faces(faces, restorer)
    for (expected, codes), actual in zip(
        reference_frames(network, faces, window), restored, strict=True
    ):
        squared.append(np.square(expected.astype(float) - actual).mean())
        equal.append((codes == restorer.last_codes[0]).mean())
    error = np.mean(squared)
    psnr = np.inf if error == 0 else 10 * np.log10(255**2 / error)
    return Agreement(frames, float(psnr), float(np.mean(equal)))


def write_side_by_side(demo: Demo) -> None:
    """Degraded input and restored output next to each other, as video and as a picture."""
    size = demo.bundle.face_size
    pairs = []
    with (
        open_source(demo.input) as degraded,
        open_source(demo.restored) as restored,
        open_sink(
            demo.out / "side_by_side.mp4", degraded.info, width=2 * size, height=size
        ) as sink,
    ):
        for left, right in zip(degraded, restored, strict=True):
            pair = np.hstack([to_face(left.rgb(), size), right.rgb()])
            sink.write_rgb(pair, left)
            pairs.append(pair)
    _write_png(demo.out / "side_by_side.png", pairs[len(pairs) // 2])


def _bundle(
    path: Path, weights: str, say: Callable[[str], None], notify: Callable[[str], None]
) -> Bundle:
    """The demo's bundle, exported unless it is there, whole, and of these weights."""
    try:
        bundle = load_bundle(path)
        if bundle.manifest.weights_source == describe_source(weights):
            return bundle
    except BundleError:
        pass
    export_weights(
        weights,
        path,
        overwrite=True,
        on_stage=lambda name: say(f"exporting {name} (once)"),
        notify=notify,
    )
    return load_bundle(path)


def _write_png(path: Path, picture: Picture) -> None:
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise UsageError(f"cannot write {path}")
