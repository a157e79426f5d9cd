"""Stage I: HQ encoder, codebook and generator on single sharp faces (Eq. 3)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from keeprt.export.model.blocks import to_map, to_tokens
from keeprt.export.training.losses import codebook_loss, psnr_db, straight_through
from keeprt.export.training.material import Batch, Material
from keeprt.export.training.parallel import from_first, over_all
from keeprt.export.training.stage import Figures, Stage, nearest_codes

RESTART_EVERY = 25


class AutoencoderStage(Stage):
    """Sharp faces to codes and back."""

    trains: ClassVar[tuple[str, ...]] = ("hq_encoder.", "quantize.", "generator.")

    used: Tensor

    def begin(self) -> None:
        """The codebook about as wide as the latents are at first."""
        table = self.network.quantize.embedding.weight
        nn.init.normal_(table, 0, 0.3)
        self.register_buffer("used", torch.zeros(len(table), device=table.device))

    def draw(self, material: Material, random: np.random.Generator, step: int) -> Batch:
        """Single faces."""
        faces = material.faces(random, self.recipe.clips)[:, None]
        return Batch(faces, faces, None)

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, Figures]:
        """Eq. 3."""
        faces, network = batch.sharp.flatten(0, 1), self.network
        table = network.quantize.embedding.weight
        tokens = to_tokens(network.hq_encoder(faces)[0])
        codes = nearest_codes(tokens, table)
        rows = network.quantize(codes)
        loss = codebook_loss(tokens, rows, self.recipe.commitment)
        quantised = to_map(straight_through(tokens, rows), network.config.latent_size)
        restored = network.generator(quantised, {})
        self.used[codes.unique()] = 1
        self._latents = tokens.detach().flatten(0, 1)
        self.sample = [faces, restored.detach()]
        figures = {"vq": loss.item(), "psnr_db": psnr_db(restored, faces)}
        adversarial = self.adversarial_term(faces, restored)
        return self.picture_loss(restored, faces) + loss + adversarial, figures

    @torch.no_grad()
    def after(self, step: int) -> None:
        """Entries that nobody asked for begin anew where latents are, in the first half."""
        if step % RESTART_EVERY != RESTART_EVERY - 1:
            return
        if step < self.recipe.steps // 2:
            table = self.network.quantize.embedding.weight
            unused = (over_all(self.used) == 0).nonzero()[:, 0]
            chosen = torch.randint(len(self._latents), (len(unused),)).to(table.device)
            table[unused] = self._latents[chosen]
            from_first(table)
        self.used.zero_()
