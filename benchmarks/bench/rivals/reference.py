"""The PyTorch reference as a rival: eager, or with each stage compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from keeprt.benchmarks.bench.rivals.contenders import Case, StageSeconds
from keeprt.benchmarks.bench.rivals.torch_card import (
    Span,
    check_torch,
    computing,
    mark,
    seconds_of,
)
from keeprt.engine.bundle.load import load_bundle
from keeprt.engine.errors import UsageError
from keeprt.engine.frame.pixels import Picture
from keeprt.export.model import Keep, KeepConfig
from keeprt.export.model.gmflow import backward_warp
from keeprt.export.pipeline import load_network
from keeprt.export.reference import to_picture, to_tensor

# What the reference calls flow is two stages and a part of the warp in the engine.
STAGES = ("lq_encoder", "flow", "gain_net", "warp", "hq_encoder", "decoder")


@dataclass
class _Past:
    frame: Tensor
    face: Tensor
    caches: dict[int, Tensor]
    latents: list[Tensor]


@dataclass
class ReferenceContender:
    """`Keep` frame by frame or chunk by chunk, its parts called as `Keep.run` calls them.

    Compiled, every stage is a graph of its own by `torch.compile(dynamic=False)`; the time that
    compiling takes falls into `load`, `first` and `settle`. On a card, such as `device` "cuda:0",
    stages are what lies between CUDA events; `half` computes in float16 by autocast.
    """

    bundle: Path
    weights: str
    case: Case
    compiled: bool = False
    device: str = "cpu"
    half: bool = False
    pictures: list[Picture] = field(default_factory=list, repr=False)
    _network: Keep = field(init=False, repr=False)
    _parts: dict[str, Callable[..., Any]] = field(init=False, repr=False, default_factory=dict)
    _past: _Past | None = field(init=False, repr=False, default=None)
    _spans: list[Span] = field(init=False, repr=False, default_factory=list)

    def load(self) -> None:
        """Reads the weights. Raises UsageError where the bundle was made of others, ContenderError
        where PyTorch has no such device."""
        check_torch(self.device)
        if self.case.threads:
            torch.set_num_threads(self.case.threads)
        manifest = load_bundle(self.bundle).manifest
        self._network, digest = load_network(self.weights, configuration_of(manifest.configuration))
        if digest != manifest.weights_sha256:
            raise UsageError(
                f"the bundle was made of {manifest.weights_source}, not of {self.weights}: "
                f"give its weights with --weights, or leave the reference out of --rivals"
            )
        self.use(self._network)

    def use(self, network: Keep) -> None:
        """Takes a network that is loaded already."""
        self._network = network.to(self.device)
        parts: dict[str, Callable[..., Any]] = {
            "lq_encoder": network.encoder,
            "warp": backward_warp,
            "decoder": self._decode,
        }
        if network.config.kalman:
            parts |= {
                "flow": network.flownet.model,
                "gain_net": network.kalman_filter,
                "hq_encoder": network.hq_encoder,
            }
        if self.compiled:
            parts = {name: torch.compile(part, dynamic=False) for name, part in parts.items()}
        self._parts = parts

    def first(self, pictures: Sequence[Picture]) -> StageSeconds:
        """A frame of each face without a past, or a first chunk."""
        self._past = None
        return self.call(pictures)

    def settle(self, pictures: Sequence[Picture]) -> None:
        """Two frames more, then the window is filled up with what it holds."""
        self.call(pictures)
        if self.case.mode == "stream" and self._past is not None:
            latents = self._past.latents
            latents += [latents[-1]] * (self.case.window - len(latents))
            self.call(pictures)

    def call(self, pictures: Sequence[Picture]) -> StageSeconds:
        """One frame of each face, or one chunk; what came out is in `pictures`."""
        self._spans = []
        with computing(self.device, self.half):
            faces = torch.stack([to_tensor(picture) for picture in pictures]).to(self.device)
            if self.case.mode == "clip":
                restored = self._clip(faces.unsqueeze(1).unbind())
            else:
                restored = list(self._frame(faces))
            self.pictures = [to_picture(face.float().cpu()) for face in restored]
        return seconds_of(self._spans, dict.fromkeys(self._parts, 0.0))

    def _frame(self, frame: Tensor) -> Tensor:
        latent, taps = self._run("lq_encoder", frame)
        past, latents, gain = self._past, [latent], None
        if past is not None and self._network.config.kalman:
            kept = past.latents
            kept = kept if len(kept) < self.case.window else [kept[0], *kept[2:]]
            latents = [*kept, latent]
            gain = self._run("gain_net", torch.stack(latents, dim=1))[:, -1]
        self._past = self._step(frame, latent, taps, past, gain)
        self._past.latents = latents
        return self._past.face

    def _clip(self, frames: Sequence[Tensor]) -> list[Tensor]:
        observed = [self._run("lq_encoder", frame) for frame in frames]
        gains = None
        if self._network.config.kalman and len(frames) > 1:
            gains = self._run("gain_net", torch.stack([latent for latent, _ in observed], dim=1))
        restored: list[Tensor] = []
        past: _Past | None = None
        for index, (frame, (latent, taps)) in enumerate(zip(frames, observed, strict=True)):
            gain = gains[:, index] if gains is not None and index else None
            past = self._step(frame, latent, taps, past, gain)
            restored.append(past.face[0])
        return restored

    def _step(
        self,
        frame: Tensor,
        latent: Tensor,
        taps: dict[int, Tensor],
        past: _Past | None,
        gain: Tensor | None,
    ) -> _Past:
        predicted = None
        if past is not None and gain is not None:
            flow = self._run("flow", frame, past.frame)
            predicted, _ = self._run("hq_encoder", self._run("warp", past.face, flow))
        caches = past.caches if past else {}
        face, caches = self._run("decoder", latent, predicted, gain, taps, caches)
        return _Past(frame, face, caches, [latent])

    def _decode(
        self,
        latent: Tensor,
        predicted: Tensor | None,
        gain: Tensor | None,
        taps: dict[int, Tensor],
        caches: dict[int, Tensor],
    ) -> tuple[Tensor, dict[int, Tensor]]:
        if predicted is not None and gain is not None:
            latent = (1 - gain) * latent + gain * predicted
        codes = self._network.lookup(latent).argmax(dim=-1)
        return self._network.decode(codes, taps, caches)

    def _run(self, stage: str, *inputs: Any) -> Any:
        start = mark(self.device)
        result = self._parts[stage](*inputs)
        self._spans.append((stage, start, mark(self.device)))
        return result


def configuration_of(values: dict[str, Any]) -> KeepConfig:
    """The bundle's configuration; JSON has made lists of its tuples."""
    named: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return KeepConfig(**named)
