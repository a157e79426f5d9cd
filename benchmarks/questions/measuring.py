"""Restores and measures the cases; networks become bundles once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from keeprt.benchmarks.demo_clip import DemoClip, demo_clip, true_sources
from keeprt.benchmarks.demo_figures import flicker
from keeprt.benchmarks.evaluate.clips import MADE, SharpClip
from keeprt.benchmarks.evaluate.measure import Measure, averages, pictures_measures
from keeprt.benchmarks.evaluate.methods import BASELINES, DegradedClip, baselines, our_methods
from keeprt.benchmarks.evaluate.networks import landmarks_measure
from keeprt.benchmarks.evaluate.warping import warping_measure
from keeprt.benchmarks.questions.cases import SHIPPED, Case
from keeprt.engine.bundle.load import DEMO_FOLDER, Bundle, load_bundle
from keeprt.engine.frame.pixels import Picture
from keeprt.export.pipeline import export_weights, load_network
from keeprt.export.training.material import to_tensor
from keeprt.export.training.motion import transform_flows
from keeprt.export.weights.demo import demo_file

FRAMES = 50
Figures = dict[str, float | None]


@dataclass(frozen=True)
class Trained:
    """A folder of weights, NAME.safetensors, as `keeprt train` left them; beside them SHIPPED."""

    folder: Path
    threads: int | None = None

    def weights(self, name: str) -> Path:
        """File of a network's weights."""
        return demo_file() if name == SHIPPED else self.folder / f"{name}.safetensors"

    def bundle(self, name: str) -> Bundle:
        """The network as a bundle beside its weights, exported unless it is there."""
        if name == SHIPPED:
            return load_bundle(DEMO_FOLDER)
        place = self.folder / f"{name}.bundle"
        if not place.exists():
            export_weights(self.weights(name), place)
        return load_bundle(place)

    def figures(self, case: Case) -> Figures:
        """PSNR, SSIM, AKD, E_warp by the names of `keeprt evaluate`, and flicker in levels."""
        bundle = self.bundle(case.network)
        clip = sharp_clip(case.seed, bundle.face_size)
        pictures = list(self._restored(case, bundle, clip))
        found: Figures = {}
        for measure, prepared in prepared_measures(case.seed, bundle.face_size):
            assert measure.values is not None
            found |= averages(measure, measure.values(prepared, pictures))
        return found | {"flicker": flicker(pictures, true_sources(clip))}

    def _restored(self, case: Case, bundle: Bundle, clip: DemoClip) -> Iterator[Picture]:
        methods = baselines()
        if case.method not in BASELINES:
            methods = our_methods(
                bundle, names=[case.method], threads=self.threads, window=case.window
            )
        (method,) = (method for method in methods if method.name == case.method)
        yield from method.restore(degraded_clip(case, clip))

    def flow_error_px(self, name: str, case: Case) -> float:
        """Mean end-point error of a network's flow between the case's degraded frames."""
        network, _ = load_network(self.weights(name))
        clip = sharp_clip(case.seed, network.config.face_size)
        truth = torch.from_numpy(transform_flows(clip.transforms, network.config.face_size))
        frames = to_tensor(degraded_clip(case, clip).input)
        errors = []
        with torch.no_grad():
            for index, true_flow in enumerate(truth):
                flow = network.flownet.model(frames[index + 1 :][:1], frames[index:][:1])
                errors.append((flow[0] - true_flow).norm(dim=0).mean().item())
        return float(np.mean(errors))


@lru_cache(maxsize=1)
def sharp_clip(seed: int, size: int) -> DemoClip:
    """The demo's head by another movement, sharp."""
    return demo_clip(FRAMES, size=size, seed=seed)


@lru_cache(maxsize=1)
def prepared_measures(seed: int, size: int) -> list[tuple[Measure, Any]]:
    """What can be measured without networks of others, with what it needs of the sharp clip."""
    sharp: Sequence[Picture] = sharp_clip(seed, size).sharp
    asked = [*pictures_measures(), landmarks_measure(None, size), warping_measure()]
    return [(measure, measure.prepare(sharp)) for measure in asked if measure.given]


def degraded_clip(case: Case, clip: DemoClip) -> DegradedClip:
    """The clip as the case's poor file holds it."""
    sharp = SharpClip(MADE, clip.sharp, clip.rate, MADE)
    return DegradedClip.make(sharp, case.degradation(clip.sharp[0].shape[0]))
