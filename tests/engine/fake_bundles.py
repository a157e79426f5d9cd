"""Bundles whose files are a few bytes: for everything that does not run them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keeprt.engine.bundle import load as bundle_module
from keeprt.engine.bundle.load import MANIFEST, Manifest, file_sha256
from keeprt.engine.bundle.specs import SubgraphSpec, TensorSpec

Content = dict[str, Any]


def tensor(name: str, *shape: int | str, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name, dtype, shape or ("faces",), f"meaning of {name}")


FACE, LATENT, GAIN = (3, 64, 64), (4, 2, 2), (1, 2, 2)
FEATURES, FLOW, MASK, CACHE = (6, 8, 8), (2, 8, 8), (576, 8, 8), (5, 4, 4)
Tensors = tuple[TensorSpec, ...]
GRAPHS: dict[str, tuple[Tensors, Tensors]] = {
    "lq_encoder": (
        (tensor("face", "faces", *FACE),),
        (tensor("latent", "faces", *LATENT), tensor("tap_4", "faces", *CACHE)),
    ),
    "hq_encoder": (
        (tensor("warped", "faces", *FACE),),
        (tensor("predicted", "faces", *LATENT),),
    ),
    "gain_net": (
        (
            tensor("latents", "faces", "frames", *LATENT),
            tensor("selected", "selected", dtype="int64"),
        ),
        (tensor("gains", "faces", "selected", *GAIN),),
    ),
    "flow_features": (
        (tensor("face", "faces", *FACE),),
        (tensor("features", "faces", *FEATURES),),
    ),
    "flow_matching": (
        (tensor("current", "faces", *FEATURES), tensor("previous", "faces", *FEATURES)),
        (tensor("flow", "faces", *FLOW), tensor("mask", "faces", *MASK)),
    ),
    "decoder": (
        (
            tensor("latent", "faces", *LATENT),
            tensor("is_first", "faces", dtype="bool"),
            tensor("predicted", "faces", *LATENT),
            tensor("gain", "faces", *GAIN),
            tensor("tap_4", "faces", *CACHE),
            tensor("previous_cache_4", "faces", *CACHE),
        ),
        (
            tensor("restored", "faces", *FACE),
            tensor("codes", "faces", 4, dtype="int64"),
            tensor("margin", "faces", 4),
            tensor("cache_4", "faces", *CACHE),
        ),
    ),
}


def make_bundle(folder: Path, weights_sha256: str = "d" * 64) -> Path:
    folder.mkdir()
    subgraphs = {}
    for name, (inputs, outputs) in GRAPHS.items():
        file = folder / f"{name}.onnx"
        file.write_bytes(f"graph of {name}".encode() * 20)
        subgraphs[name] = SubgraphSpec(
            file.name, file_sha256(file), file.stat().st_size, inputs, outputs
        )
    manifest = Manifest(
        {"face_size": 64}, "float32", "synthetic:3", weights_sha256, {"torch": "2"}, subgraphs
    )
    (folder / MANIFEST).write_text(manifest.to_json())
    return folder


def edit_and_seal(folder: Path, edit: Callable[[Content], object]) -> None:
    """Changes the manifest and seals it anew, as someone would who knows how."""
    content = json.loads((folder / MANIFEST).read_text())
    edit(content)
    content.pop("seal", None)
    content["seal"] = bundle_module._seal(content)
    (folder / MANIFEST).write_text(json.dumps(content))


def change(*path: str | int, to: object) -> Callable[[Content], object]:
    """An edit that sets one value, deep in the manifest."""

    def edit(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = to

    return edit


def drop(*path: str | int) -> Callable[[Content], object]:
    def edit(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return edit
