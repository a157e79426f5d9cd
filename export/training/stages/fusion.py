"""Stage III: CFT and CFA on clips, all else fixed (Eq. 8)."""

from __future__ import annotations

import re
from typing import ClassVar

import torch
from torch import Tensor, nn

from keeprt.export.model.gmflow import backward_warp
from keeprt.export.training.losses import (
    consistency_mask,
    inside_mask,
    psnr_db,
    temporal_loss,
)
from keeprt.export.training.material import Batch
from keeprt.export.training.stage import Figures, Stage
from keeprt.export.training.stages.lookup import GAIN_WINDOW, observe

LEVELS = 127.5
IDENTITY_AT_ZERO = (
    r"fuse_convs_dict\..*\.(scale|shift)\.2\.(weight|bias)|cross_fuse\..*\.norm[12]\.weight"
)


class FusionStage(Stage):
    """What the generator takes from the encoder's taps and from the frame before."""

    trains: ClassVar[tuple[str, ...]] = ("fuse_convs_dict.", "cross_fuse.")

    def begin(self) -> None:
        """Both begin as the identity."""
        for name, parameter in self.network.named_parameters():
            if re.fullmatch(IDENTITY_AT_ZERO, name):
                nn.init.zeros_(parameter)

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, Figures]:
        """Eq. 8."""
        restored, sharp = self.restore(batch.degraded), batch.sharp
        loss = self.picture_loss(restored.flatten(0, 1), sharp.flatten(0, 1))
        flows, mask = self.true_flows(batch)
        flicker = temporal_loss(restored, flows, mask)
        self.sample = [part[0].detach() for part in (batch.degraded, restored, sharp)]
        adversarial = self.adversarial_term(sharp.transpose(1, 2), restored.transpose(1, 2))
        return loss + self.recipe.pictures.temporal * flicker + adversarial, {
            "psnr_first_db": psnr_db(restored[:, 0], sharp[:, 0]),
            "psnr_last_db": psnr_db(restored[:, -1], sharp[:, -1]),
            "flicker": flicker.item() * LEVELS,
        }

    def restore(self, degraded: Tensor) -> Tensor:
        """Clips (B, T, 3, S, S), with gradients through CFT, CFA and what CFA remembers."""
        network, recurrent = self.network, self.recipe.recurrent
        flows = gains = None
        if recurrent:
            latents, flows = observe(network, degraded)
            with torch.no_grad():
                gains = network.stream_gains(latents, GAIN_WINDOW)
        faces: list[Tensor] = []
        caches: dict[int, Tensor] = {}
        for t, frame in enumerate(degraded.unbind(1)):
            with torch.no_grad():
                latent, taps = network.encoder(frame)
                if t and flows is not None and gains is not None:
                    moved = backward_warp(faces[-1], flows[:, t - 1])
                    predicted, _ = network.hq_encoder(moved)
                    latent = (1 - gains[:, t]) * latent + gains[:, t] * predicted
                codes = network.lookup(latent).argmax(-1)
            face, caches = network.decode(codes, taps, caches)
            faces.append(face)
        return torch.stack(faces, 1)

    @torch.no_grad()
    def true_flows(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Flow between sharp frames with M of Eq. 7: known, or the flow network's."""
        if batch.flows is not None:
            mask = inside_mask(batch.flows.flatten(0, 1))
            return batch.flows, mask.unflatten(0, batch.flows.shape[:2])
        now, before = batch.sharp[:, 1:].flatten(0, 1), batch.sharp[:, :-1].flatten(0, 1)
        forward = self.network.flownet.model(now, before)
        mask = consistency_mask(forward, self.network.flownet.model(before, now))
        shape = (len(batch.sharp), -1)
        return forward.unflatten(0, shape), mask.unflatten(0, shape)
