"""Weights by one name: the authors' release, a file, or synthetic ones."""

import hashlib
import re
import sys
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path

import torch

from keeprt.engine.errors import CheckpointError
from keeprt.export.checkpoint_file import fit_to_manifest, read_weights
from keeprt.export.checkpoint_official import OFFICIAL_URL, Progress, fetch_official, official_name
from keeprt.export.synthetic import Manifest, synthetic_tensors


def load_checkpoint(
    source: str | Path,
    *,
    manifest: Manifest | None = None,
    progress: Progress | None = None,
    notify: Callable[[str], None] | None = None,
    official_url: str = OFFICIAL_URL,
) -> dict[str, torch.Tensor]:
    """Contiguous, finite float32 CPU tensors, exactly those of the manifest and in its order.

    source: "official" (downloaded once, verified at each load), "synthetic:SEED", or a path to a
    .pth, .pt or .safetensors file. manifest: (name, shape) pairs, by default the released
    network's. progress(done_bytes, total_bytes or None) follows a download; notify(text) receives
    the licence notice, once for each cache folder. Tensors of a file may be mapped from it: replace
    a checkpoint, never edit it in place.

    Raises CheckpointError for whatever cannot be fetched, read, or fitted.
    """
    entries = published_manifest() if manifest is None else manifest
    seed = synthetic_seed(source)
    if seed is not None:
        arrays = synthetic_tensors(entries, seed)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
    path = Path(source)
    if source == "official":
        path = fetch_official(official_url, progress=progress, notify=notify)
    return fit_to_manifest(read_weights(path), entries, path.name)


def published_manifest() -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the released network's 896 tensors, in the checkpoint's order."""
    table = resources.files("keeprt.export").joinpath("state_dict.tsv").read_text("ascii")
    rows = (line.split("\t") for line in table.splitlines())
    return [(name, tuple(int(size) for size in shape.split(","))) for name, shape, _ in rows]


def synthetic_seed(source: str | Path) -> int | None:
    """The seed in "synthetic:SEED", None for another source; CheckpointError for a bad seed."""
    if not isinstance(source, str) or source.partition(":")[0] != "synthetic":
        return None
    if not re.fullmatch(r"synthetic:[0-9]{1,18}", source):
        raise CheckpointError(f"{source!r} is not a seed: write synthetic:1 (a whole number >= 0)")
    return int(source.partition(":")[2])


def describe_source(source: str | Path, *, official_url: str = OFFICIAL_URL) -> str:
    """The source in words for people and manifests; of a path only the file's name."""
    seed = synthetic_seed(source)
    if seed is not None:
        return f"synthetic:{seed}"
    if source == "official":
        return f"official {Path(official_name(official_url)).stem}"
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
