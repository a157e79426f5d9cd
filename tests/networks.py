"""Small networks for tests and the bundles made of them."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
SOURCES = (*sorted((ROOT / "export").rglob("*.py")), ROOT / "engine" / "bundle.py", Path(__file__))
WEIGHTS = "synthetic:3"


def tiny_network(**changes: Any) -> Any:
    """A `Keep` of the tiny configuration with synthetic weights of seed 3."""
    from keeprt.export.checkpoint import load_checkpoint
    from keeprt.export.model import Keep, KeepConfig

    network = Keep(KeepConfig.tiny(**changes)).eval().requires_grad_(False)
    manifest = [(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()]
    network.load_state_dict(load_checkpoint(WEIGHTS, manifest=manifest), strict=True)
    return network


def export(network: Any, path: Path, weights: str = WEIGHTS) -> Path:
    from keeprt.export.bundle_writer import export_bundle
    from keeprt.export.checkpoint import checkpoint_digest

    digest = checkpoint_digest(network.state_dict())
    export_bundle(network, path, weights_source=weights, weights_sha256=digest)
    return path


def export_cached(network: Any, folder: Path) -> Path:
    """The bundle of a small network, kept under the hash of everything that shapes it."""
    from keeprt.export.checkpoint import checkpoint_digest

    key = hashlib.sha256(checkpoint_digest(network.state_dict()).encode())
    key.update(repr(network.config).encode())
    for tool in ("torch", "onnx", "onnxscript"):
        key.update(f"{tool} {version(tool)}".encode())
    for source in SOURCES:
        key.update(source.read_bytes())
    path = folder / key.hexdigest()[:20]
    return path if path.exists() else export(network, path)


def faces(count: int, size: int = 128, seed: int = 0) -> list[NDArray[np.uint8]]:
    """A drifting blurred texture: neighbouring frames are related, so flow and gain have work."""
    import cv2

    random = np.random.default_rng(seed)
    noise = random.integers(0, 256, (size + 4 * count, size + 4 * count, 3)).astype(np.uint8)
    texture = cv2.GaussianBlur(noise, (0, 0), 3)
    low, high = texture.min(), texture.max()
    texture = ((texture - low) * (255.0 / (high - low))).astype(np.uint8)
    return [
        np.ascontiguousarray(texture[2 * i : 2 * i + size, 3 * i : 3 * i + size])
        for i in range(count)
    ]
