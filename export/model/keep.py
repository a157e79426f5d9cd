"""KEEP over a clip: observe every frame, then predict, correct and restore one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from keeprt.export.model.autoencoder import Encoder, Generator
from keeprt.export.model.blocks import to_map, to_tokens
from keeprt.export.model.config import KeepConfig
from keeprt.export.model.flows import FlowNet
from keeprt.export.model.fusion import Cfa, Cft
from keeprt.export.model.gmflow import backward_warp
from keeprt.export.model.kalman import GainNet
from keeprt.export.model.lookup import Codebook, LookupLayer


@dataclass(frozen=True)
class RecurrentState:
    """What the next frame needs of this one: the unclamped face and the CFA caches by scale."""

    face: Tensor
    caches: dict[int, Tensor]


@dataclass(frozen=True)
class FrameResult:
    """One restored frame with what led to it; N tokens, predictions only from frame 1 on."""

    face: Tensor  # (B, 3, S, S), nominally [-1, 1], unclamped
    codes: Tensor  # (B, N) int64
    logits: Tensor  # (B, N, codebook_size)
    latent: Tensor  # (B, C, h, w), observed
    updated: Tensor  # (B, C, h, w), what the codes were looked up from
    state: RecurrentState
    predicted: Tensor | None = None
    gain: Tensor | None = None  # (B, 1, h, w)
    flow: Tensor | None = None  # (B, 2, S, S) in pixels


class Keep(nn.Module):
    """The whole network. `forward` is what the authors' code computes for one clip."""

    def __init__(self, config: KeepConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or KeepConfig()
        tokens = config.latent_size**2
        self.position_emb = nn.Parameter(torch.zeros(tokens, config.lookup_width))
        if config.kalman:
            self.flownet = FlowNet(config)
            self.kalman_filter = GainNet(config)
            self.hq_encoder = Encoder(config)
        self.encoder = Encoder(config)
        self.quantize = Codebook(config)
        self.generator = Generator(config)
        self.feat_emb = nn.Linear(config.latent_channels, config.lookup_width)
        self.ft_layers = nn.ModuleList(LookupLayer(config) for _ in range(config.lookup_layers))
        self.idx_pred_layer = nn.Sequential(
            nn.LayerNorm(config.lookup_width),
            nn.Linear(config.lookup_width, config.codebook_size, bias=False),
        )
        if config.cfa:
            self.cross_fuse = nn.ModuleDict(
                {str(scale): Cfa(config.channels_at(scale), config) for scale in config.cfa_scales}
            )
        self.fuse_convs_dict = nn.ModuleDict(
            {
                str(scale): Cft(config.channels_at(scale), config.norm_groups)
                for scale in config.cft_scales
            }
        )

    def forward(self, clip: Tensor) -> Tensor:
        """Clip (B, T, 3, S, S) in [-1, 1] -> the same shape, unclamped."""
        return torch.stack([result.face for result in self.run(clip)], dim=1)

    def run(self, clip: Tensor, window: int | None = None) -> Iterator[FrameResult]:
        """Restores a clip frame by frame.

        With `window` None the gain of every frame sees the whole clip, as released; with a
        number it sees the first frame and the last `window - 1`, as when frames come one by one.
        """
        frames = clip.unbind(1)
        observed = [self.encoder(frame) for frame in frames]
        gains = None
        if self.config.kalman and len(frames) > 1:
            latents = torch.stack([latent for latent, _ in observed], dim=1)
            gains = self.stream_gains(latents, window) if window else self.kalman_filter(latents)
        state: RecurrentState | None = None
        for index, (latent, taps) in enumerate(observed):
            flow = gain = None
            if gains is not None and index:
                flow = self.flownet.model(frames[index], frames[index - 1])
                gain = gains[:, index]
            result = self.step(latent, taps, state, gain, flow)
            state = result.state
            yield result

    def stream_gains(self, latents: Tensor, window: int) -> Tensor:
        """Gains (B, T, 1, h, w) of frames that come one by one, each from its own window."""
        gains = []
        for index in range(latents.shape[1]):
            seen = latents[:, stream_window(index, window)]
            gains.append(self.kalman_filter(seen)[:, -1])
        return torch.stack(gains, dim=1)

    def step(
        self,
        latent: Tensor,
        taps: dict[int, Tensor],
        state: RecurrentState | None,
        gain: Tensor | None = None,
        flow: Tensor | None = None,
    ) -> FrameResult:
        """One frame of the recurrence; `state` None starts a clip."""
        updated, predicted = latent, None
        if state is not None and gain is not None and flow is not None:
            predicted, _ = self.hq_encoder(backward_warp(state.face, flow))
            updated = (1 - gain) * latent + gain * predicted
        logits = self.lookup(updated)
        codes = logits.argmax(dim=-1)
        face, caches = self.decode(codes, taps, state.caches if state else {})
        return FrameResult(
            face,
            codes,
            logits,
            latent,
            updated,
            RecurrentState(face, caches),
            predicted,
            gain,
            flow,
        )

    def lookup(self, latent: Tensor) -> Tensor:
        """Latent (B, C, h, w) -> logits (B, N, codebook_size)."""
        tokens = self.feat_emb(to_tokens(latent))
        for layer in self.ft_layers:
            tokens = layer(tokens, self.position_emb)
        return self.idx_pred_layer(tokens)

    def decode(
        self,
        codes: Tensor,
        taps: dict[int, Tensor],
        previous: dict[int, Tensor],
        is_first: Tensor | None = None,
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """Codes (B, N), encoder taps and the last frame's caches -> face and this frame's caches.

        A clip's first frame has no `previous`; where some faces of a batch begin and others go
        on, `is_first` (bool, broadcasts to (B, C, H, W)) leaves CFA out for those that begin.
        """
        caches: dict[int, Tensor] = {}

        def fuse(scale: int, feature: Tensor) -> Tensor:
            if scale in self.config.cft_scales:
                feature = self.fuse_convs_dict[str(scale)](taps[scale], feature)
            if self.config.cfa and scale in self.config.cfa_scales:
                if scale in previous:
                    attended = self.cross_fuse[str(scale)](feature, previous[scale])
                    feature = attended if is_first is None else attended.where(~is_first, feature)
                caches[scale] = feature
            return feature

        steps: dict[int, Callable[[Tensor], Tensor]] = {
            scale: partial(fuse, scale)
            for scale in dict.fromkeys((*self.config.cft_scales, *self.config.cfa_scales))
        }
        quantised = to_map(self.quantize(codes), self.config.latent_size)
        return self.generator(quantised, steps), caches


def stream_window(index: int, window: int) -> list[int]:
    """Frames that the gain of frame `index` sees in a stream: the first, the last window - 1."""
    return [0, *range(max(1, index - window + 2), index + 1)]
