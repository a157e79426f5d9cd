"""The PyTorch reference frame by frame, with what crosses every subgraph's border."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from keeprt.benchmarks.verify.measuring.reference_frame import ReferenceFrame
from keeprt.engine.frame.pixels import Picture
from keeprt.export.model import Keep
from keeprt.export.model.gmflow import backward_warp, upsample_flow
from keeprt.export.reference import to_tensor
from keeprt.export.subgraphs import Subgraph, split

__all__ = ["ReferenceFrame", "SteppedReference"]
Values = dict[str, Tensor]


class SteppedReference:
    """Runs the network one frame at a time, so that memory does not grow with the clip.

    The same arithmetic as `Keep.run`: every subgraph is the torch module that was exported.
    `window` None is clip mode, as released; a number is stream mode.
    """

    def __init__(self, network: Keep, window: int | None) -> None:
        self._graphs: dict[str, Subgraph] = {graph.name: graph for graph in split(network)}
        self._network, self._window = network, window
        self._kalman = network.config.kalman
        self._latents: list[Tensor] = []
        self._state: Values = {}
        self._frames = 0
        self._logits_std = 1.0

    @torch.inference_mode()
    def restore(self, pictures: Sequence[Picture]) -> Iterator[ReferenceFrame]:
        """Restores frames that follow those before; in clip mode they are a chunk of their own."""
        hook = self._network.idx_pred_layer.register_forward_hook(self._watch_logits)
        try:
            if self._window is None:
                yield from self._chunk(pictures)
            else:
                for picture in pictures:
                    yield self._streamed(picture)
        finally:
            hook.remove()

    def disturb(self, relative: Mapping[str, float], seed: int = 0) -> None:
        """Adds noise to what the next frame reads of this one, of relative L2 size by name."""
        random = torch.Generator().manual_seed(seed)
        for name, tensor in self._state.items():
            if math.isfinite(size := relative.get(name, 0.0)):
                noise = torch.randn(tensor.shape, generator=random)
                self._state[name] = tensor + noise * (size * tensor.norm() / noise.norm())

    def _streamed(self, picture: Picture) -> ReferenceFrame:
        frame, observed = self._observe(picture)
        self._remember_past(frame)
        latent = observed["latent"]
        if self._kalman and self._frames:
            past = self._latents
            if len(past) == self._window:
                past = [past[0], *past[2:]]  # the anchor stays, the oldest after it drops out
            window = torch.stack([*past, latent], dim=1)
            selected = torch.tensor([window.shape[1] - 1])
            observed["gain"] = self._run(frame, "gain_net", window, selected)["gains"][:, 0]
        if self._kalman:
            self._latents.append(latent)
        if len(self._latents) > (self._window or 0):
            del self._latents[1]
        return self._correct(frame, observed)

    def _chunk(self, pictures: Sequence[Picture]) -> Iterator[ReferenceFrame]:
        self._state, self._frames, self._latents = {}, 0, []
        watched = [self._observe(picture) for picture in pictures]
        if self._kalman and len(watched) > 1:
            latents = torch.stack([values["latent"] for _, values in watched], dim=1)
            first = watched[0][0]
            gains = self._run(first, "gain_net", latents, torch.arange(len(watched)))["gains"]
            for index, (frame, values) in enumerate(watched):
                values["gain"] = gains[:, index]
                # All frames share the arrays of the one run.
                frame.inputs["gain_net"] = first.inputs["gain_net"]
                frame.outputs["gain_net"] = first.outputs["gain_net"]
        for index, (frame, values) in enumerate(watched):
            self._remember_past(frame)
            yield self._correct(frame, values)
            watched[index] = (ReferenceFrame(frame.face), {})  # frees the maps

    def _observe(self, picture: Picture) -> tuple[ReferenceFrame, Values]:
        frame, face = ReferenceFrame(picture), to_tensor(picture)[None]
        observed = self._run(frame, "lq_encoder", face)
        if self._kalman:
            observed |= self._run(frame, "flow_features", face)
        return frame, observed

    def _correct(self, frame: ReferenceFrame, values: Values) -> ReferenceFrame:
        graph = self._graphs["decoder"]
        begins = not self._frames
        values["is_first"] = torch.tensor([begins])
        if self._kalman and not begins:
            values |= self._run(frame, "flow_matching", values["features"], self._state["features"])
            flow = upsample_flow(values["flow"], values["mask"])
            warped = backward_warp(self._state["restored"], flow)
            values |= self._run(frame, "hq_encoder", warped)
        for name, tensor in self._state.items():
            values[f"previous_{name}"] = tensor
        for spec in graph.inputs:
            if begins and (spec.name == "gain" or spec.name not in values):
                values[spec.name] = torch.zeros(spec.sized(faces=1))
        inputs = (values[spec.name] for spec in graph.inputs)
        outputs = self._run(frame, "decoder", *inputs)
        frame.logits_std = self._logits_std
        self._state = {n: t for n, t in outputs.items() if n.startswith("cache_")}
        if self._kalman:
            self._state |= {"restored": outputs["restored"], "features": values["features"]}
        self._frames += 1
        frame.after = {name: tensor[0].numpy() for name, tensor in self._state.items()}
        if self._latents:
            frame.after["latents"] = torch.cat(self._latents).numpy()
        return frame

    def _remember_past(self, frame: ReferenceFrame) -> None:
        frame.frames_before = self._frames
        frame.before = {name: tensor[0].numpy() for name, tensor in self._state.items()}
        if self._latents:
            frame.before["latents"] = torch.cat(self._latents).numpy()

    def _run(self, frame: ReferenceFrame, name: str, *tensors: Tensor) -> Values:
        graph = self._graphs[name]
        made = graph.module(*tensors)
        outputs: tuple[Tensor, ...] = made if isinstance(made, tuple) else (made,)
        named = {spec.name: tensor for spec, tensor in zip(graph.outputs, outputs, strict=True)}
        frame.inputs[name] = {
            spec.name: np.ascontiguousarray(tensor.numpy())
            for spec, tensor in zip(graph.inputs, tensors, strict=True)
        }
        frame.outputs[name] = {n: np.ascontiguousarray(t.numpy()) for n, t in named.items()}
        return named

    def _watch_logits(self, _module: nn.Module, _inputs: Any, logits: Tensor) -> None:
        self._logits_std = float(logits.std())
