"""The split: one module per subgraph, with the tensors that cross its border.

The recurrent state crosses as plain tensors, and the warp stays outside: it belongs to the runtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from keeprt.engine.bundle.specs import TensorSpec
from keeprt.export.model import Keep
from keeprt.export.model.gmflow import NEIGHBOURS, STRIDE

FACES = "faces"
FRAMES = "frames"
SELECTED = "selected"
FEATURES = {
    "gmflow": "GMFlow features of one frame",
    "pyramid": "features of one frame, as GMFlow's",
    "none": "one frame at an eighth, for no flow",
}


@dataclass(frozen=True)
class Subgraph:
    """A module to export, what goes in and out of it, and example inputs in the same order."""

    name: str
    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class LqEncoder(nn.Module):
    """Face -> latent and taps, the taps from coarse to fine."""

    def __init__(self, network: Keep) -> None:
        super().__init__()
        self.encoder = network.encoder

    def forward(self, face: Tensor) -> tuple[Tensor, ...]:
        latent, taps = self.encoder(face)
        return (latent, *(taps[scale] for scale in sorted(taps)))


class HqEncoder(nn.Module):
    """Warped previous face -> predicted latent."""

    def __init__(self, network: Keep) -> None:
        super().__init__()
        self.encoder = network.hq_encoder

    def forward(self, face: Tensor) -> Tensor:
        return self.encoder(face)[0]


class FlowFeatures(nn.Module):
    """Face -> the features that flow is matched on, once per frame."""

    def __init__(self, network: Keep) -> None:
        super().__init__()
        self.flow = network.flownet.model

    def forward(self, face: Tensor) -> Tensor:
        return self.flow.features(face)


class FlowMatching(nn.Module):
    """Features of two frames -> low-resolution flow and its upsampling mask."""

    def __init__(self, network: Keep) -> None:
        super().__init__()
        self.flow = network.flownet.model

    def forward(self, current: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        return self.flow.match(current, previous)


class Decoder(nn.Module):
    """Update, code lookup, generator, CFT and CFA; with `is_first` the start of a clip.

    A first frame takes the observed latent and skips CFA by selection, so that one graph serves
    a batch in which some faces begin and others go on.
    """

    def __init__(self, network: Keep) -> None:
        super().__init__()
        self.network = network

    def forward(self, latent: Tensor, is_first: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        config, network = self.network.config, self.network
        remaining = list(rest)
        first = is_first[:, None, None, None]
        if config.kalman:
            predicted, gain = remaining.pop(0), remaining.pop(0)
            updated = (1 - gain) * latent + gain * predicted
            latent = torch.where(first, latent, updated)
        taps = {scale: remaining.pop(0) for scale in sorted(config.cft_scales)}
        scales = sorted(config.cfa_scales) if config.cfa else []
        previous = {scale: remaining.pop(0) for scale in scales}
        best, codes = network.lookup(latent).topk(2, dim=-1)
        face, caches = network.decode(codes[..., 0], taps, previous, first)
        margin = best[..., 0] - best[..., 1]
        return (face, codes[..., 0], margin, *(caches[scale] for scale in scales))


def split(network: Keep) -> list[Subgraph]:
    """All subgraphs of a network; an ablated network has fewer."""
    config = network.config
    size, grid = config.face_size, config.latent_size
    channels, flow_size = config.latent_channels, config.flow_size
    face = _maps("face", (3, size, size), "low-quality face, RGB in [-1, 1]")
    latent = _maps("latent", (channels, grid, grid), "observed latent z")
    predicted = _maps("predicted", (channels, grid, grid), "latent predicted from the last face")
    gain = _maps("gain", (1, grid, grid), "Kalman gain per token, in (0, 1)")
    taps = [
        _maps(f"tap_{s}", (config.channels_at(s), s, s), f"encoder feature for CFT at {s}")
        for s in sorted(config.cft_scales)
    ]
    caches = [
        (f"cache_{s}", (config.channels_at(s), s, s))
        for s in sorted(config.cfa_scales)
        if config.cfa
    ]
    kalman_inputs = [predicted, gain] if config.kalman else []
    graphs = [
        Subgraph("lq_encoder", LqEncoder(network), (face,), (latent, *taps)),
        Subgraph(
            "decoder",
            Decoder(network),
            (
                latent,
                TensorSpec("is_first", "bool", (FACES,), "true where a clip starts"),
                *kalman_inputs,
                *taps,
                *(_maps(f"previous_{n}", s, "CFA cache of the last frame") for n, s in caches),
            ),
            (
                _maps("restored", (3, size, size), "restored face, nominally [-1, 1], unclamped"),
                TensorSpec("codes", "int64", (FACES, grid**2), "codebook index per token"),
                TensorSpec(
                    "margin", "float32", (FACES, grid**2), "gap between the two largest logits"
                ),
                *(_maps(n, s, "CFA cache for the next frame") for n, s in caches),
            ),
        ),
    ]
    if not config.kalman:
        return graphs
    features = (network.flownet.model.feature_channels, flow_size, flow_size)
    mask = (NEIGHBOURS * STRIDE**2, flow_size, flow_size)
    warped = _maps("warped", (3, size, size), "last restored face, warped to this frame")
    window = (FACES, FRAMES, channels, grid, grid)
    return [
        *graphs,
        Subgraph("hq_encoder", HqEncoder(network), (warped,), (predicted,)),
        Subgraph(
            "gain_net",
            network.kalman_filter,
            (
                TensorSpec(
                    "latents", "float32", window, "observed latents of the window, in order"
                ),
                TensorSpec(
                    "selected", "int64", (SELECTED,), "frames of the window to give gains of"
                ),
            ),
            (TensorSpec("gains", "float32", (FACES, SELECTED, 1, grid, grid), gain.meaning),),
        ),
        Subgraph(
            "flow_features",
            FlowFeatures(network),
            (face,),
            (_maps("features", features, FEATURES[config.flow]),),
        ),
        Subgraph(
            "flow_matching",
            FlowMatching(network),
            (
                _maps("current", features, "features of this frame"),
                _maps("previous", features, "features of the last frame"),
            ),
            (
                _maps(
                    "flow", (2, flow_size, flow_size), "flow to the last frame, x then y, in cells"
                ),
                _maps("mask", mask, "convex upsampling weights before the softmax"),
            ),
        ),
    ]


def _maps(name: str, shape: tuple[int, ...], meaning: str) -> TensorSpec:
    return TensorSpec(name, "float32", (FACES, *shape), meaning)


def example_inputs(graph: Subgraph, sizes: Mapping[str, int], seed: int = 0) -> tuple[Tensor, ...]:
    """Random inputs for a subgraph, its free axes set to `sizes`."""
    random = torch.Generator().manual_seed(seed)
    examples = []
    for spec in graph.inputs:
        shape = [sizes[axis] if isinstance(axis, str) else axis for axis in spec.shape]
        if spec.dtype == "float32":
            examples.append(torch.rand(shape, generator=random))
        elif spec.dtype == "bool":
            examples.append(torch.arange(shape[0]) % 2 == 1)
        else:
            examples.append(torch.arange(shape[0]))
    return tuple(examples)
