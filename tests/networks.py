"""Small networks for tests and the bundles made of them.

`python -m tests.networks FOLDER` makes the bundles, for Pythons that have no torch.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
SOURCES = (
    *sorted((ROOT / "export").rglob("*.py")),
    *sorted((ROOT / "engine" / "bundle").glob("*.py")),
    Path(__file__),
)
WEIGHTS = "synthetic:3"
SMALL: dict[str, dict[str, bool]] = {
    "tiny": {},
    "tiny_without_kalman": {"kalman": False},
    "tiny_without_cfa": {"cfa": False},
}


def tiny_network(**changes: Any) -> Any:
    """A `Keep` of the tiny configuration with synthetic weights of seed 3."""
    from keeprt.export.model import Keep, KeepConfig
    from keeprt.export.weights.load import load_checkpoint

    network = Keep(KeepConfig.tiny(**changes)).eval().requires_grad_(False)
    manifest = [(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()]
    network.load_state_dict(load_checkpoint(WEIGHTS, manifest=manifest), strict=True)
    return network


def export(network: Any, path: Path, weights: str = WEIGHTS) -> Path:
    from keeprt.export.bundle_writer import export_bundle
    from keeprt.export.weights.load import checkpoint_digest

    digest = checkpoint_digest(network.state_dict())
    export_bundle(network, path, weights_source=weights, weights_sha256=digest)
    return path


def export_cached(network: Any, folder: Path, like: Path | None = None) -> Path:
    """The bundle of a small network, kept under the hash of everything that shapes it.

    Weights follow from their names, so an ablated network shares all graphs but its decoder with
    the whole one: those are copied from `like`, its bundle.
    """
    from keeprt.export import bundle_writer
    from keeprt.export.weights.load import checkpoint_digest

    key = hashlib.sha256(checkpoint_digest(network.state_dict()).encode())
    key.update(repr(network.config).encode())
    for tool in ("torch", "onnx", "onnxscript"):
        key.update(f"{tool} {version(tool)}".encode())
    for source in SOURCES:
        key.update(source.read_bytes())
    path = folder / key.hexdigest()[:20]
    if path.exists():
        return path
    trace = bundle_writer.save_onnx

    def save(graph: Any, file: Path) -> None:
        if like is None or graph.name == "decoder":
            trace(graph, file)
        else:
            shutil.copyfile(like / file.name, file)

    with patch.object(bundle_writer, "save_onnx", save):
        return export(network, path)


def export_small(name: str, cache: Path) -> Path:
    """One of SMALL, the ablated ones with the graphs that they share with the whole one."""
    like = None if name == "tiny" else export_small("tiny", cache)
    return export_cached(tiny_network(**SMALL[name]), cache, like)


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


if __name__ == "__main__":
    target = Path(sys.argv[1])
    for small in SMALL:
        shutil.copytree(export_small(small, target / "cache"), target / small)
