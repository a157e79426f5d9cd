"""What the demo measures: quality against the sharp clip, flicker by true motion, agreement."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np

from keeprt.benchmarks.demo import Demo
from keeprt.benchmarks.demo_clip import true_sources
from keeprt.benchmarks.evaluate.measure import averages, pictures_measures
from keeprt.benchmarks.evaluate.warping import Float32, warp, warping_measure
from keeprt.engine.frame.pixels import Picture
from keeprt.engine.restorer import Restorer

# where a head's movement may show what lies outside the frame
EDGE_PX = 16


@dataclass(frozen=True)
class Agreement:
    """The runtime against the PyTorch reference on the same first frames."""

    frames: int
    psnr_db: float
    equal_codes: float


@dataclass(frozen=True)
class Figures:
    """By clip: PSNR in dB, SSIM, E_warp, and flicker in 8-bit levels (see `flicker`)."""

    psnr_db: dict[str, float]
    ssim: dict[str, float]
    e_warp: dict[str, float]
    flicker: dict[str, float]
    seconds: float
    frame_ms: float
    agreement: Agreement | None

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Rows of the table: a clip, its PSNR, SSIM, E_warp and flicker."""
        for name in self.flicker:
            psnr = f"{self.psnr_db[name]:.2f}" if name in self.psnr_db else "-"
            ssim = f"{self.ssim[name]:.3f}" if name in self.ssim else "-"
            warped = f"{1e3 * self.e_warp[name]:.3f}"
            yield name, psnr, ssim, warped, f"{self.flicker[name]:.2f}"

    def summary(self) -> Iterator[tuple[str, str]]:
        """What else is said: a name and a value a line."""
        yield "time", f"{self.frame_ms:.0f} ms a frame, {self.seconds:.1f} s in all"
        if self.agreement is None:
            return
        psnr = self.agreement.psnr_db
        close = "identical" if np.isinf(psnr) else f"{psnr:.1f} dB"
        yield f"agreement with PyTorch, {self.agreement.frames} frames", close
        yield "equal codebook indices", f"{100 * self.agreement.equal_codes:.2f} %"

    def facts(self) -> dict[str, Any]:
        """The figures by which the demo is judged, for a JSON file."""
        values: dict[str, Any] = {
            "psnr_degraded_db": self.psnr_db["degraded"],
            "psnr_per_frame_db": self.psnr_db["per-frame"],
            "psnr_restored_db": self.psnr_db["keeprt"],
            "ssim_degraded": self.ssim["degraded"],
            "ssim_per_frame": self.ssim["per-frame"],
            "ssim_restored": self.ssim["keeprt"],
            "flicker_per_frame": self.flicker["per-frame"],
            "flicker_stream": self.flicker["keeprt"],
            "flicker_sharp": self.flicker["sharp"],
            "seconds": self.seconds,
            "frame_ms": self.frame_ms,
        }
        return values | {"agreement": asdict(self.agreement) if self.agreement else None}


def measure(demo: Demo, agreement: Agreement | None) -> Figures:
    """All figures of a demo that has restored its clip."""
    sharp, clips = demo.clip.sharp, demo.clips
    psnr, ssim = pictures_measures()
    found: dict[str, dict[str, float]] = {}
    for asked in (psnr, ssim, warping_measure()):
        prepared, key = asked.prepare(sharp), asked.column.key
        assert asked.values is not None
        series = {name: asked.values(prepared, frames) for name, frames in clips.items()}
        means = {name: averages(asked, values)[key] for name, values in series.items()}
        found[key] = {name: mean for name, mean in means.items() if mean is not None}
    for key in ("psnr_db", "ssim"):
        found[key].pop("sharp", None)
    sources = true_sources(demo.clip)
    return Figures(
        **found,
        flicker={name: flicker(frames, sources) for name, frames in clips.items()},
        seconds=time.perf_counter() - demo.began,
        frame_ms=1e3 * sum(demo.stage_seconds.values()) / len(demo.stream),
        agreement=agreement,
    )


def flicker(frames: Sequence[Picture], sources: Sequence[Float32]) -> float:
    """Mean |y_t - warped y_t-1| in 8-bit levels by the clip's true motion, less its border.

    sources[t]: (H, W, 2) x, y in frame t that each pixel of frame t + 1 comes from.
    """
    inner = slice(EDGE_PX, -EDGE_PX)
    differences = [
        np.abs(now - warp(before, source))[inner, inner].mean()
        for (before, now), source in zip(
            pairwise([np.asarray(frame, np.float32) for frame in frames]), sources, strict=True
        )
    ]
    return float(np.mean(differences)) if differences else 0.0


def agree(demo: Demo, window: int, frames: int) -> Agreement | None:
    """The first frames through the PyTorch reference in the same mode; None without torch."""
    try:
        reference_of = import_module("keeprt.benchmarks.verify.subject").reference_of
        reference_frames = import_module("keeprt.export.reference").reference_frames
    except ModuleNotFoundError:
        return None
    if not frames:
        return None
    network = reference_of(demo.bundle, demo.weights)
    restorer = Restorer.load(demo.bundle.path, mode="stream", window=window)
    faces, state = demo.clip.degraded[:frames], restorer.new_state()
    squared, equal = [], []
    for face, (expected, codes) in zip(
        faces, reference_frames(network, faces, window), strict=True
    ):
        restored, state = restorer.restore(face, state)
        squared.append(np.square(expected.astype(float) - restored).mean())
        equal.append((codes == restorer.last_codes[0]).mean())
    error = np.mean(squared)
    psnr = np.inf if error == 0 else 10 * np.log10(255**2 / error)
    return Agreement(len(faces), float(psnr), float(np.mean(equal)))
