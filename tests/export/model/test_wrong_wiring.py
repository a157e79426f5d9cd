"""The golden comparisons must notice a network that is wired wrongly: one mistake per case.

The mistakes are those of docs/model.md, section 20, and a few more. A case passes when a
comparison that the right network passes raises `GoldenMismatchError`; a crash is no proof."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from keeprt.export.model import Keep, blocks, fusion, gmflow, kalman, lookup
from tests import goldens

Patch = pytest.MonkeyPatch

Mistake = Callable[[Keep, Patch], None]


def forward(patch: Patch, owner: object, function: Callable[..., object]) -> None:
    patch.setattr(owner, "forward", function)


# Encoders


def tap_one_block_early(network: Keep, patch: Patch) -> None:
    taps = {scale: block - 1 for scale, block in network.encoder.taps.items()}
    patch.setattr(network.encoder, "taps", taps)


def residual_missing_in_one_block(network: Keep, patch: Patch) -> None:
    block = network.encoder.blocks[14]
    original = block.forward
    forward(patch, block, lambda x: original(x) - x)


def residual_missing_in_attention(network: Keep, patch: Patch) -> None:
    block = network.encoder.blocks[19]
    original = block.forward
    forward(patch, block, lambda x: original(x) - x)


def padding_on_both_sides(network: Keep, patch: Patch) -> None:
    def padded(self: blocks.Downsample, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (1, 1, 1, 1)))[..., : x.shape[-2] // 2, : x.shape[-1] // 2]

    forward(patch, blocks.Downsample, padded)


def activation_before_last_convolution(network: Keep, patch: Patch) -> None:
    norm = network.encoder.blocks[23]
    original = norm.forward
    forward(patch, norm, lambda x: F.silu(original(x)))


def group_norm_eps(network: Keep, patch: Patch) -> None:
    for module in network.encoder.modules():
        if isinstance(module, nn.GroupNorm):
            patch.setattr(module, "eps", 1e-5)


# Gain


def geglu_halves_exchanged(network: Keep, patch: Patch) -> None:
    def exchanged(self: blocks.Geglu, x: Tensor) -> Tensor:
        gate, value = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)

    forward(patch, blocks.Geglu, exchanged)


def tanh_gelu(network: Keep, patch: Patch) -> None:
    patch.setattr(F, "gelu", partial(F.gelu, approximate="tanh"))


def no_temporal_attention(network: Keep, patch: Patch) -> None:
    for layer in network.kalman_filter.uncertainty_estimator:
        forward(patch, layer.attn_temp, lambda x, context: torch.zeros_like(x))


def causal_temporal_attention(network: Keep, patch: Patch) -> None:
    def masked(
        query: Tensor, key: Tensor, value: Tensor, scale: float, bias: Tensor | None = None
    ) -> Tensor:
        frames = query.shape[-2]
        if frames <= 5:
            bias = torch.full((frames, frames), float("-inf")).triu(1)
        return original(query, key, value, scale, bias)

    original = blocks.attention
    patch.setattr(blocks, "attention", masked)


def temporal_attention_before_feed_forward(network: Keep, patch: Patch) -> None:
    def reordered(self: kalman.UncertaintyLayer, hidden: Tensor, selected: Tensor | None) -> Tensor:
        u = self.norm1(hidden)
        key, value = self.attn1.to_k(u), self.attn1.to_v(u)
        pairs = kalman._first_and_previous(key), kalman._first_and_previous(value)
        hidden = hidden + self.attn1.attend(self.attn1.to_q(u), *pairs)
        over_time = self.norm_temp(hidden).transpose(1, 2)
        hidden = hidden + self.attn_temp(over_time, over_time).transpose(1, 2)
        return hidden + self.ff(self.norm3(hidden))

    forward(patch, kalman.UncertaintyLayer, reordered)


def own_frame_among_the_keys(network: Keep, patch: Patch) -> None:
    def first_and_own(tokens: Tensor) -> Tensor:
        return torch.cat([tokens[:, :1].expand_as(tokens), tokens], dim=2)

    patch.setattr(kalman, "_first_and_previous", first_and_own)


# Lookup


def positions_reach_the_values(network: Keep, patch: Patch) -> None:
    original = lookup.SelfAttention.forward
    forward(patch, lookup.SelfAttention, lambda self, placed, plain: original(self, placed, placed))


def no_positions(network: Keep, patch: Patch) -> None:
    patch.setattr(network.position_emb, "data", torch.zeros_like(network.position_emb))


# Fusion


def decoder_first_in_the_concat(network: Keep, patch: Patch) -> None:
    def exchanged(self: fusion.Cft, tap: Tensor, feature: Tensor) -> Tensor:
        condition = self.encode_enc(torch.cat([feature, tap], dim=1))
        return feature + (feature * self.scale(condition) + self.shift(condition))

    forward(patch, fusion.Cft, exchanged)


def no_cft(network: Keep, patch: Patch) -> None:
    forward(patch, fusion.Cft, lambda self, tap, feature: feature)


def norms_before_cfa(network: Keep, patch: Patch) -> None:
    def pre_norm(self: fusion.Cfa, current: Tensor, previous: Tensor) -> Tensor:
        x = blocks.to_tokens(current)
        x = x + self.attn(self.norm1(x), blocks.to_tokens(previous))
        x = x + self.ff(self.norm2(x))
        return blocks.to_map(x, current.shape[-1])

    forward(patch, fusion.Cfa, pre_norm)


def no_cfa(network: Keep, patch: Patch) -> None:
    forward(patch, fusion.Cfa, lambda self, current, previous: current)


# Flow


def images_exchanged(network: Keep, patch: Patch) -> None:
    original = gmflow.GmFlow.forward
    forward(patch, gmflow.GmFlow, lambda self, current, previous: original(self, previous, current))


def cross_target_after_self_attention(network: Keep, patch: Patch) -> None:
    def updated(self: gmflow.FlowBlock, both: Tensor, shift: int, mask: Tensor | None) -> Tensor:
        both = both + self.self_attn(both, both, shift, mask)
        other = both.unflatten(0, (2, -1)).flip(0).flatten(0, 1)
        return both + self.cross_attn_ffn(both, other, shift, mask)

    forward(patch, gmflow.FlowBlock, updated)


def no_window_shift(network: Keep, patch: Patch) -> None:
    original = gmflow.FlowBlock.forward
    forward(patch, gmflow.FlowBlock, lambda self, both, shift, mask: original(self, both, 0, None))


def shift_without_mask(network: Keep, patch: Patch) -> None:
    original = gmflow.shift_mask
    patch.setattr(gmflow, "shift_mask", lambda size: torch.zeros_like(original(size)))


def one_position_code_for_the_map(network: Keep, patch: Patch) -> None:
    original = gmflow.position_code
    patch.setattr(
        gmflow,
        "position_code",
        lambda channels, size: original(channels, 2 * size)[:size, :size],
    )


def x_before_y_in_the_position_code(network: Keep, patch: Patch) -> None:
    original = gmflow.position_code
    patch.setattr(gmflow, "position_code", lambda c, size: original(c, size).transpose(0, 1))


def key_projects_the_feature(network: Keep, patch: Patch) -> None:
    def direct(self: gmflow.FlowPropagation, tokens: Tensor, flow: Tensor) -> Tensor:
        scale = tokens.shape[-1] ** -0.5
        return blocks.attention(self.q_proj(tokens), self.k_proj(tokens), flow, scale)

    forward(patch, gmflow.FlowPropagation, direct)


def no_propagation(network: Keep, patch: Patch) -> None:
    forward(patch, gmflow.FlowPropagation, lambda self, tokens, flow: flow)


def bilinear_flow_upsampling(network: Keep, patch: Patch) -> None:
    patch.setattr(
        gmflow,
        "upsample_flow",
        lambda flow, mask: F.interpolate(8 * flow, scale_factor=8, mode="bilinear"),
    )


# Warp


def border_padding(network: Keep, patch: Patch) -> None:
    original = F.grid_sample
    patch.setattr(F, "grid_sample", lambda *a, **k: original(*a, **{**k, "padding_mode": "border"}))


def corners_not_aligned(network: Keep, patch: Patch) -> None:
    original = F.grid_sample
    patch.setattr(F, "grid_sample", lambda *a, **k: original(*a, **{**k, "align_corners": False}))


CASES: list[tuple[Mistake, Callable[[Keep], None]]] = [
    (tap_one_block_early, goldens.check_encoders_at_128),
    (residual_missing_in_one_block, goldens.check_encoders_at_128),
    (residual_missing_in_attention, goldens.check_encoders_at_128),
    (padding_on_both_sides, goldens.check_encoders_at_128),
    (activation_before_last_convolution, goldens.check_encoders_at_128),
    (group_norm_eps, goldens.check_encoders_at_128),
    (geglu_halves_exchanged, goldens.check_gain_of_two),
    (geglu_halves_exchanged, goldens.check_cfa),
    (tanh_gelu, goldens.check_gain_of_two),
    (no_temporal_attention, goldens.check_gain_of_two),
    (causal_temporal_attention, goldens.check_gain_of_two),
    (temporal_attention_before_feed_forward, goldens.check_gain_of_two),
    (own_frame_among_the_keys, goldens.check_gain_of_two),
    (positions_reach_the_values, goldens.check_lookup),
    (no_positions, goldens.check_lookup),
    (decoder_first_in_the_concat, goldens.check_cft),
    (no_cft, goldens.check_cft),
    (norms_before_cfa, goldens.check_cfa),
    (no_cfa, goldens.check_cfa),
    (images_exchanged, goldens.check_flow),
    (cross_target_after_self_attention, goldens.check_flow),
    (no_window_shift, goldens.check_flow),
    (shift_without_mask, goldens.check_flow),
    (one_position_code_for_the_map, goldens.check_flow),
    (x_before_y_in_the_position_code, goldens.check_flow),
    (key_projects_the_feature, goldens.check_flow),
    (no_propagation, goldens.check_flow),
    (bilinear_flow_upsampling, goldens.check_flow),
    (border_padding, goldens.check_warp),
    (corners_not_aligned, goldens.check_warp),
]


@pytest.mark.slow
@pytest.mark.parametrize(("mistake", "check"), CASES, ids=lambda f: f.__name__)
def test_a_sub_network_wired_wrongly_is_noticed(
    reference: Keep,
    mistake: Mistake,
    check: Callable[[Keep], None],
    monkeypatch: Patch,
) -> None:
    mistake(reference, monkeypatch)
    with pytest.raises(goldens.GoldenMismatchError) as caught:
        check(reference)
    print(caught.value)
