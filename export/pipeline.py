"""From a weights source to a bundle in one call: what `keeprt export` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from keeprt.export.bundle_writer import check_target, export_bundle
from keeprt.export.checkpoint import checkpoint_digest, describe_source, load_checkpoint
from keeprt.export.model import Keep, KeepConfig
from keeprt.export.precision_islands import islands_of


def load_network(
    source: str | Path,
    config: KeepConfig | None = None,
    *,
    on_bytes: Callable[[int, int | None], None] | None = None,
    notify: Callable[[str], None] | None = None,
) -> tuple[Keep, str]:
    """A network in evaluation mode with the weights of `source`, and their SHA-256.

    An ablated configuration takes the tensors that it has. Raises CheckpointError.
    """
    config = config or KeepConfig()
    manifest = tensor_shapes(replace(config, kalman=True, cfa=True))
    tensors = load_checkpoint(source, manifest=manifest, progress=on_bytes, notify=notify)
    digest = checkpoint_digest(tensors)
    network = Keep(config)
    names = network.state_dict().keys()
    kept = {name: tensor for name, tensor in tensors.items() if name in names}
    network.load_state_dict(kept, strict=True, assign=True)
    return network.eval().requires_grad_(False), digest


def tensor_shapes(config: KeepConfig) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a configuration's tensors, in order."""
    with torch.device("meta"):
        network = Keep(config)
    return [(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()]


def export_weights(
    source: str | Path,
    out: str | Path,
    *,
    changes: Mapping[str, Any] | None = None,
    config: KeepConfig | None = None,
    precision: str = "fp32",
    overwrite: bool = False,
    on_bytes: Callable[[int, int | None], None] | None = None,
    on_stage: Callable[[str], None] = lambda name: None,
    notify: Callable[[str], None] | None = None,
) -> None:
    """Loads weights and writes their bundle; `changes` are switches of the configuration.

    Raises CheckpointError for the weights, BundleError for the folder or for weights that half
    precision cannot hold, UsageError for an unknown precision.
    """
    islands_of(precision)
    check_target(Path(out), overwrite)
    config = replace(config or KeepConfig(), **dict(changes or {}))
    network, digest = load_network(source, config, on_bytes=on_bytes, notify=notify)
    export_bundle(
        network,
        out,
        weights_source=describe_source(source),
        weights_sha256=digest,
        precision=precision,
        overwrite=overwrite,
        progress=on_stage,
        notify=notify or (lambda text: None),
    )
