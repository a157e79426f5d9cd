"""The rival that anybody writes first: plain ONNX Runtime sessions called one after another."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from keeprt.benchmarks.bench.rivals.contenders import Case, ContenderError, StageSeconds
from keeprt.engine.bundle.load import Bundle, load_bundle
from keeprt.engine.frame.pixels import Picture, normalise, quantise
from keeprt.engine.libraries.onnxruntime.providers import PROVIDERS, load_cuda_libraries
from keeprt.kernels.warp_by_flow import warp_by_flow

Array = NDArray[Any]
Past = dict[str, Array]


@dataclass
class PlainOnnx:
    """The bundle's graphs as they are, in sessions with default options, on fresh NumPy arrays.

    No rewriting for the CPU, no bound buffers, no arena, no list of operations; the arithmetic is
    the engine's, so the pictures agree. `threads` is the one option that follows the case; on a
    card, number `device`, its CUDA provider runs them, arrays and warp still on the host.
    """

    path: Path
    case: Case
    device: int | None = None
    pictures: list[Picture] = field(default_factory=list, repr=False)
    _bundle: Bundle = field(init=False, repr=False)
    _sessions: dict[str, Any] = field(init=False, repr=False, default_factory=dict)
    _past: Past = field(init=False, repr=False, default_factory=dict)
    _stages: StageSeconds = field(init=False, repr=False, default_factory=dict)

    def load(self) -> None:
        """Opens one session per file. Raises ContenderError where the card is not to be had."""
        self._bundle = load_bundle(self.path)
        options = onnxruntime.SessionOptions()
        if self.case.threads:
            options.intra_op_num_threads = self.case.threads
        providers = providers_of(self.device)
        self._sessions = {
            name: onnxruntime.InferenceSession(
                str(self._bundle.file(name)), options, providers=providers
            )
            for name in self._bundle.subgraphs
        }
        for name, session in self._sessions.items():
            if session.get_providers()[0] != providers[0][0]:
                raise ContenderError(f"ONNX Runtime did not start {providers[0][0]} for {name}")

    def first(self, pictures: Sequence[Picture]) -> StageSeconds:
        """A frame of each face without a past, or a first chunk."""
        self._past = {}
        return self.call(pictures)

    def settle(self, pictures: Sequence[Picture]) -> None:
        """Two frames more, then the window is filled up with what it holds."""
        self.call(pictures)
        if self.case.mode == "stream" and self._bundle.has_kalman:
            latents = self._past["latents"]
            missing = self.case.window - latents.shape[1]
            last = np.repeat(latents[:, -1:], max(missing, 0), axis=1)
            self._past["latents"] = np.concatenate([latents, last], axis=1)
            self.call(pictures)

    def call(self, pictures: Sequence[Picture]) -> StageSeconds:
        """One frame of each face, or one chunk; what came out is in `pictures`."""
        self._stages = {}
        self.pictures = self._clip(pictures) if self.case.mode == "clip" else self._frame(pictures)
        return self._stages

    def _frame(self, pictures: Sequence[Picture]) -> list[Picture]:
        seen, past = self._observe(pictures), self._past
        gain = None
        if self._bundle.has_kalman:
            latents = seen["latent"][:, None]
            if past:
                held = past["latents"]
                if held.shape[1] == self.case.window:
                    held = np.concatenate([held[:, :1], held[:, 2:]], axis=1)
                latents = np.concatenate([held, latents], axis=1)
                gain = self._gains(latents, [latents.shape[1] - 1])[:, 0]
            seen["latents"] = latents
        self._past = seen | self._correct(seen, past, gain)
        return _pictures(self._past["restored"])

    def _clip(self, pictures: Sequence[Picture]) -> list[Picture]:
        seen = [self._observe([picture]) for picture in pictures]
        gains = None
        if self._bundle.has_kalman and len(seen) > 1:
            window = np.stack([each["latent"] for each in seen], axis=1)
            gains = self._gains(window, list(range(len(seen))))
        restored: list[Picture] = []
        past: Past = {}
        for index, each in enumerate(seen):
            gain = gains[:, index] if past and gains is not None else None
            past = each | self._correct(each, past, gain)
            restored += _pictures(past["restored"])
        return restored

    def _observe(self, pictures: Sequence[Picture]) -> Past:
        face = np.empty((len(pictures), 3, *pictures[0].shape[:2]), np.float32)
        for row, picture in zip(face, pictures, strict=True):
            normalise(picture, row)
        seen = self._run("lq_encoder", {"face": face})
        if self._bundle.has_kalman:
            seen |= self._run("flow_features", {"face": face})
        return seen

    def _gains(self, latents: Array, selected: list[int]) -> Array:
        return self._run("gain_net", {"latents": latents, "selected": np.array(selected)})["gains"]

    def _correct(self, seen: Past, past: Past, gain: Array | None) -> Past:
        known = dict(seen)
        if gain is not None:
            known |= {"gain": gain, "predicted": self._predict(seen, past)}
        known |= {f"previous_{name}": array for name, array in past.items()}
        inputs = {}
        for spec in self._bundle.subgraphs["decoder"].inputs:
            if spec.name == "is_first":
                inputs[spec.name] = np.full(len(seen["latent"]), not past)
            elif spec.name in known:
                inputs[spec.name] = known[spec.name]
            else:
                inputs[spec.name] = np.zeros(spec.sized(faces=len(seen["latent"])), spec.dtype)
        return self._run("decoder", inputs)

    def _predict(self, seen: Past, past: Past) -> Array:
        flows = self._run(
            "flow_matching", {"current": seen["features"], "previous": past["features"]}
        )
        start = time.perf_counter()
        warped = warp_by_flow(past["restored"], flows["flow"], flows["mask"])
        self._count("warp", start)
        return self._run("hq_encoder", {"warped": warped})["predicted"]

    def _run(self, subgraph: str, inputs: Past) -> Past:
        start = time.perf_counter()
        found = self._sessions[subgraph].run(None, inputs)
        self._count(subgraph, start)
        names = (spec.name for spec in self._bundle.subgraphs[subgraph].outputs)
        return dict(zip(names, found, strict=True))

    def _count(self, stage: str, start: float) -> None:
        self._stages[stage] = self._stages.get(stage, 0.0) + time.perf_counter() - start


def providers_of(device: int | None) -> list[tuple[str, dict[str, str]]]:
    """What sessions run on, with default options: the processor, or the card of that number.
    Raises ContenderError where this ONNX Runtime has no provider for it."""
    chosen = PROVIDERS["cpu" if device is None else "cuda"]
    if chosen.ort_name not in onnxruntime.get_available_providers():
        raise ContenderError(f"this ONNX Runtime has no {chosen.ort_name}: {chosen.remedy()}")
    if device is None:
        return [(chosen.ort_name, {})]
    load_cuda_libraries(onnxruntime)
    return [(chosen.ort_name, {"device_id": str(device)})]


def _pictures(restored: Array) -> list[Picture]:
    return [quantise(row, np.empty_like(row)) for row in restored]
