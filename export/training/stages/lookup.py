"""Stage II: the LQ encoder and the code transformer on frames, then the gain network on clips."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from keeprt.export.model import Keep
from keeprt.export.model.blocks import to_tokens
from keeprt.export.model.gmflow import backward_warp
from keeprt.export.training.losses import code_loss
from keeprt.export.training.material import Batch
from keeprt.export.training.stage import LOOKUP, Figures, Stage, entries, target_codes

OBSERVED_WEIGHT = 0.2
GAIN_WINDOW = 8


class LookupStage(Stage):
    """Degraded frames, each alone, towards the codes of the sharp ones (Eq. 4)."""

    trains: ClassVar[tuple[str, ...]] = ("encoder.", *LOOKUP)

    def begin(self) -> None:
        """The LQ encoder begins as the HQ encoder, as the paper has it."""
        self.network.encoder.load_state_dict(self.network.hq_encoder.state_dict())
        nn.init.normal_(self.network.position_emb, 0, 0.1)

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, Figures]:
        """Eq. 4."""
        codes = target_codes(self.network, batch.sharp.flatten(0, 1))
        latent, _ = self.network.encoder(batch.degraded.flatten(0, 1))
        loss, accuracy = latent_loss(self.network, latent, codes)
        return loss, {"accuracy": accuracy}


class FilterStage(Stage):
    """Gain network and code transformer on clips, from the corrected latent.

    The gain of a frame sees what it sees in a stream. No gradient goes through the frame before:
    its codes are an argmax. The LQ encoder stays, so that stage III depends on it alone.
    """

    trains: ClassVar[tuple[str, ...]] = ("kalman_filter.", *LOOKUP)

    def begin(self) -> None:
        """Without a filter only the transformer is left, trained as long."""
        if not self.recipe.recurrent:
            self.network.kalman_filter.requires_grad_(False)

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, Figures]:
        """Eq. 4 of the corrected latents, and a little of the last frame's observed one."""
        network, shape = self.network, batch.sharp.shape[:2]
        codes = target_codes(network, batch.sharp.flatten(0, 1)).unflatten(0, shape)
        latents, updated, figures = self.latents(batch.degraded)
        loss, _ = latent_loss(network, updated.flatten(0, 1), codes.flatten(0, 1))
        alone, accuracy = latent_loss(network, latents[:, -1], codes[:, -1])
        with torch.no_grad():
            equal = (network.lookup(updated[:, -1]).argmax(-1) == codes[:, -1]).float().mean()
        figures = {"accuracy": equal.item(), "accuracy_observed": accuracy} | figures
        return loss + OBSERVED_WEIGHT * alone, figures

    def latents(self, degraded: Tensor) -> tuple[Tensor, Tensor, Figures]:
        """Observed and corrected latents (B, T, C, h, w) of clips (B, T, 3, S, S), equal without a
        filter; and the mean gain."""
        network = self.network
        if not self.recipe.recurrent:
            observed = observed_latents(network, degraded)
            return observed, observed, {}
        latents, flows = observe(network, degraded)
        gains = network.stream_gains(latents, GAIN_WINDOW)
        updated = corrected(network, latents, flows, gains)
        return latents, updated, {"gain": gains[:, 1:].mean().item()}


@torch.no_grad()
def observed_latents(network: Keep, degraded: Tensor) -> Tensor:
    """Clips (B, T, 3, S, S) -> latents (B, T, C, h, w)."""
    return network.encoder(degraded.flatten(0, 1))[0].unflatten(0, degraded.shape[:2])


@torch.no_grad()
def observe(network: Keep, degraded: Tensor) -> tuple[Tensor, Tensor]:
    """Clips (B, T, 3, S, S) -> latents (B, T, C, h, w) and flows (B, T - 1, 2, S, S)."""
    latents = observed_latents(network, degraded)
    now, before = degraded[:, 1:].flatten(0, 1), degraded[:, :-1].flatten(0, 1)
    flows = network.flownet.model(now, before)
    return latents, flows.unflatten(0, (len(degraded), -1))


def corrected(network: Keep, latents: Tensor, flows: Tensor, gains: Tensor) -> Tensor:
    """Latents after the Kalman filter's update, (B, T, C, h, w); the generator is still bare."""
    updated = [latents[:, 0]]
    for t in range(1, latents.shape[1]):
        with torch.no_grad():
            codes = network.lookup(updated[-1]).argmax(-1)
            face = network.generator(entries(network, codes), {})
            predicted, _ = network.hq_encoder(backward_warp(face, flows[:, t - 1]))
        updated.append((1 - gains[:, t]) * latents[:, t] + gains[:, t] * predicted)
    return torch.stack(updated, 1)


def latent_loss(network: Keep, latent: Tensor, codes: Tensor) -> tuple[Tensor, float]:
    """Eq. 4 of latents (B, C, h, w), and the share of codes (B, N) that are met."""
    logits = network.lookup(latent)
    loss = code_loss(logits, codes, to_tokens(latent), network.quantize(codes))
    return loss, (logits.argmax(-1) == codes).float().mean().item()
