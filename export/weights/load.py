"""Weights by one name: the authors' release, the demo's own, a file, or synthetic ones."""

import hashlib
import re
import sys
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path

import torch

from keeprt.engine.errors import CheckpointError
from keeprt.export.model.config import KeepConfig
from keeprt.export.weights.demo import DEMO, demo_file
from keeprt.export.weights.download import Progress
from keeprt.export.weights.file import fit_to_manifest, read_configuration, read_weights
from keeprt.export.weights.official import fetch_official
from keeprt.export.weights.releases import release_named
from keeprt.export.weights.synthetic import Manifest, synthetic_tensors


def load_checkpoint(
    source: str | Path,
    *,
    manifest: Manifest | None = None,
    progress: Progress | None = None,
    notify: Callable[[str], None] | None = None,
) -> dict[str, torch.Tensor]:
    """Contiguous, finite float32 CPU tensors, exactly those of the manifest and in its order.

    source: see `read_source`, or "synthetic:SEED". manifest: (name, shape) pairs, by default those
    of the network's default configuration.

    Raises CheckpointError for whatever cannot be fetched, read, or fitted.
    """
    entries = published_manifest() if manifest is None else manifest
    seed = synthetic_seed(source)
    if seed is not None:
        arrays = synthetic_tensors(entries, seed)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
    label, weights = read_source(source, progress=progress, notify=notify)
    return fit_to_manifest(weights, entries, label)


def read_source(
    source: str | Path,
    *,
    progress: Progress | None = None,
    notify: Callable[[str], None] | None = None,
) -> tuple[str, dict[str, object]]:
    """The name of a file for messages, and what it holds: name -> value, not checked yet.

    source: a release's name (downloaded once, verified at each load), "demo" (comes along), or a
    path to a .pth, .pt or .safetensors file. progress(done_bytes, total_bytes or None) follows
    a download; notify(text) receives the licence notice, once for each cache folder. Tensors of a
    file may be mapped from it: replace a checkpoint, never edit it in place.
    """
    release = release_named(str(source))
    path = Path(source)
    if source == DEMO:
        path = demo_file()
    if release is not None:
        path = fetch_official(release, progress=progress, notify=notify)
    return path.name, read_weights(path)


def configuration_of(source: str | Path) -> KeepConfig:
    """The configuration that a source's weights are for: the released KEEP unless a .safetensors
    file says otherwise. Raises CheckpointError."""
    path = demo_file() if source == DEMO else Path(source)
    if path.suffix != ".safetensors" or not path.is_file():
        return KeepConfig()
    return read_configuration(path)


def published_manifest() -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the released network's 896 tensors, in the checkpoint's order."""
    table = resources.files("keeprt.export.weights").joinpath("state_dict.tsv").read_text("ascii")
    rows = (line.split("\t") for line in table.splitlines())
    return [(name, tuple(int(size) for size in shape.split(","))) for name, shape, _ in rows]


def synthetic_seed(source: str | Path) -> int | None:
    """The seed in "synthetic:SEED", None for another source; CheckpointError for a bad seed."""
    if not isinstance(source, str) or source.partition(":")[0] != "synthetic":
        return None
    if not re.fullmatch(r"synthetic:[0-9]{1,18}", source):
        raise CheckpointError(f"{source!r} is not a seed: write synthetic:1 (a whole number >= 0)")
    return int(source.partition(":")[2])


def describe_source(source: str | Path) -> str:
    """The source in words for people and manifests; of a path only the file's name."""
    seed = synthetic_seed(source)
    if seed is not None:
        return f"synthetic:{seed}"
    if source == DEMO:
        return DEMO
    release = release_named(str(source))
    if release is not None:
        return release.description
    return Path(source).name


def checkpoint_digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 (hexadecimal) over the values as little-endian float32, in the mapping's order.

    `load_checkpoint` returns the manifest's order, so equal weights have equal digests whatever
    file they came from.
    """
    digest = hashlib.sha256()
    for tensor in tensors.values():
        values = tensor.detach().to("cpu", torch.float32).contiguous().numpy()
        digest.update(
            values.tobytes() if sys.byteorder == "little" else values.byteswap().tobytes()
        )
    return digest.hexdigest()
