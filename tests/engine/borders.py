"""The released network's borders, as its manifest has them, for sizes without weights."""

from __future__ import annotations

from pathlib import Path

from keeprt.engine.bundle.load import Bundle, Manifest
from keeprt.engine.bundle.specs import SubgraphSpec, TensorSpec

TENSORS = {
    "lq_encoder": (
        "face faces 3 512 512",
        "latent faces 256 16 16, tap_16 faces 512 16 16, tap_32 faces 256 32 32, "
        "tap_64 faces 256 64 64",
    ),
    "flow_features": ("face faces 3 512 512", "features faces 128 64 64"),
    "flow_matching": (
        "current faces 128 64 64, previous faces 128 64 64",
        "flow faces 2 64 64, mask faces 576 64 64",
    ),
    "gain_net": (
        "latents faces frames 256 16 16, selected:int64 selected",
        "gains faces selected 1 16 16",
    ),
    "hq_encoder": ("warped faces 3 512 512", "predicted faces 256 16 16"),
    "decoder": (
        "latent faces 256 16 16, is_first:bool faces, predicted faces 256 16 16, "
        "gain faces 1 16 16, tap_16 faces 512 16 16, tap_32 faces 256 32 32, "
        "tap_64 faces 256 64 64, previous_cache_16 faces 512 16 16, "
        "previous_cache_32 faces 256 32 32",
        "restored faces 3 512 512, codes:int64 faces 256, margin faces 256, "
        "cache_16 faces 512 16 16, cache_32 faces 256 32 32",
    ),
}


def released_borders() -> Bundle:
    """A bundle with no files: only names, types and shapes."""
    subgraphs = {
        name: SubgraphSpec(f"{name}.onnx", "", 0, tensors(inputs), tensors(outputs))
        for name, (inputs, outputs) in TENSORS.items()
    }
    return Bundle(Path("none"), Manifest({}, "float32", "", "", {}, subgraphs))


def tensors(text: str) -> tuple[TensorSpec, ...]:
    return tuple(tensor(*words.split()) for words in text.split(", "))


def tensor(name: str, *shape: str) -> TensorSpec:
    name, _, dtype = name.partition(":")
    axes = tuple(int(axis) if axis.isdigit() else axis for axis in shape)
    return TensorSpec(name, dtype or "float32", axes, "")
