"""The runtime written down plainly, for comparison: fresh arrays for everything, and no lists."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.frame.pixels import normalise, quantise
from keeprt.engine.libraries.onnxruntime.sessions import OnnxRuntimeBackend
from keeprt.kernels.warp_by_flow import warp_by_flow

Past = dict[str, Any] | None


class PlainRuntime:
    """What `Restorer` must give bit for bit; it batches alike, for a batch may round otherwise."""

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        self.bundle = bundle
        self.backend = OnnxRuntimeBackend(bundle, threads=threads)

    def infer(self, subgraph: str, inputs: dict[str, Any], **axes: int) -> dict[str, Any]:
        outputs = {
            spec.name: np.zeros(spec.sized(**axes), spec.dtype)
            for spec in self.bundle.subgraphs[subgraph].outputs
        }
        given = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        self.backend.run(subgraph, given, outputs)
        return outputs

    def observe(self, pictures: list[Any]) -> dict[str, Any]:
        face = np.empty((len(pictures), 3, *pictures[0].shape[:2]), np.float32)
        for row, picture in zip(face, pictures, strict=True):
            normalise(picture, row)
        return self.observe_planar(face)

    def observe_planar(self, face: Any) -> dict[str, Any]:
        seen = self.infer("lq_encoder", {"face": face}, faces=len(face))
        if self.bundle.has_kalman:
            seen |= self.infer("flow_features", {"face": face}, faces=len(face))
        return seen

    def gains(self, window: Any, selected: list[int]) -> Any:
        """Gains (faces, selected, 1, h, w) of windows (faces, frames, C, h, w)."""
        inputs = {"latents": window, "selected": np.array(selected)}
        axes = {"faces": len(window), "frames": window.shape[1], "selected": len(selected)}
        return self.infer("gain_net", inputs, **axes)["gains"]

    def predict(self, features: Any, pasts: list[dict[str, Any]]) -> Any:
        faces = len(pasts)
        stacked = {n: np.stack([past[n] for past in pasts]) for n in ("features", "restored")}
        flows = self.infer(
            "flow_matching",
            {"current": features[:faces], "previous": stacked["features"]},
            faces=faces,
        )
        warped = warp_by_flow(stacked["restored"], flows["flow"], flows["mask"])
        return self.infer("hq_encoder", {"warped": warped}, faces=faces)["predicted"]

    def correct(self, seen: dict[str, Any], pasts: list[Past], gain: Any) -> dict[str, Any]:
        faces, going_on = len(pasts), sum(past is not None for past in pasts)
        inputs: dict[str, Any] = {}
        for spec in self.bundle.subgraphs["decoder"].inputs:
            inputs[spec.name] = np.zeros(spec.sized(faces=faces), spec.dtype)
            if spec.name in seen:
                inputs[spec.name][:] = seen[spec.name]
            for row, past in enumerate(pasts[:going_on]):
                if spec.name.startswith("previous_"):
                    inputs[spec.name][row] = past[spec.name.removeprefix("previous_")]
        inputs["is_first"][going_on:] = True
        if self.bundle.has_kalman and going_on:
            inputs["gain"][:going_on] = gain
            inputs["predicted"][:going_on] = self.predict(seen["features"], pasts[:going_on])
        return self.infer("decoder", inputs, faces=faces)

    def stream(self, frame: list[Any], pasts: list[Past], window: int) -> tuple[list[Any], Any]:
        """One frame; the faces that go on come first, in `pasts` as in `frame`."""
        restored, after = self.go_on(self.observe(frame), pasts, window)
        return self.pictures(restored), after

    def go_on(self, seen: dict[str, Any], pasts: list[Past], window: int) -> tuple[Any, Any]:
        """Restored faces, planar, of a frame that was observed."""
        gain = []
        if self.bundle.has_kalman:
            windows = [
                [*past["latents"], latent] if past else [latent]
                for past, latent in zip(pasts, seen["latent"], strict=True)
            ]
            windows = [w if len(w) <= window else [w[0], *w[2:]] for w in windows]
            for length, group in groupby((w for w in windows if len(w) > 1), key=len):
                gain.extend(self.gains(np.stack(list(group)), [length - 1])[:, 0])
        made = seen | self.correct(seen, pasts, gain)
        after = [
            {name: array[row].copy() for name, array in made.items()} for row in range(len(pasts))
        ]
        if self.bundle.has_kalman:
            for past, latents in zip(after, windows, strict=True):
                past["latents"] = latents
        return made["restored"], after

    def clip(self, pictures: list[Any]) -> list[Any]:
        """One chunk, its gains taken together, from a fresh state."""
        seen = [self.observe([picture]) for picture in pictures]
        if self.bundle.has_kalman and len(pictures) > 1:
            window = np.concatenate([each["latent"] for each in seen])[None]
            gains = self.gains(window, list(range(len(pictures))))[0]
        restored, past = [], None
        for index, each in enumerate(seen):
            gain = gains[index] if past and self.bundle.has_kalman else None
            made = each | self.correct(each, [past], gain)
            past = {name: array[0] for name, array in made.items()}
            restored += self.pictures(made["restored"])
        return restored

    def pictures(self, restored: Any) -> list[Any]:
        return [quantise(row, np.empty_like(row)) for row in restored]
