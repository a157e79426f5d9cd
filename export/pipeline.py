"""From a weights source to a bundle in one call: what `keeprt export` does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from keeprt.export.bundle_writer import check_target, export_bundle
from keeprt.export.model import Keep, KeepConfig
from keeprt.export.precision.islands import islands_of
from keeprt.export.weights.file import fit_to_manifest
from keeprt.export.weights.load import (
    checkpoint_digest,
    configuration_of,
    describe_source,
    load_checkpoint,
    read_source,
    synthetic_seed,
)


def load_network(
    source: str | Path,
    config: KeepConfig | None = None,
    *,
    on_bytes: Callable[[int, int | None], None] | None = None,
    notify: Callable[[str], None] | None = None,
) -> tuple[Keep, str]:
    """A network in evaluation mode with the weights of `source`, and their SHA-256.

    `config` None: the one that the source's weights are for. An ablated configuration takes the
    tensors that it has, of weights that were trained whole or without the same parts; the scales
    of CFT and CFA are those of the tensors. Raises CheckpointError.
    """
    own = configuration_of(source)
    config = config or own
    if synthetic_seed(source) is not None:
        tensors = load_checkpoint(source, manifest=_held(config, own))
    else:
        label, weights = read_source(source, progress=on_bytes, notify=notify)
        config = with_scales_of(weights, config)
        tensors = fit_to_manifest(weights, _held(config, own), label)
    digest = checkpoint_digest(tensors)
    network = Keep(config)
    names = network.state_dict().keys()
    kept = {name: tensor for name, tensor in tensors.items() if name in names}
    network.load_state_dict(kept, strict=True, assign=True)
    return network.eval().requires_grad_(False), digest


def with_scales_of(names: Iterable[str], config: KeepConfig) -> KeepConfig:
    """The configuration with CFT and CFA where these tensors have them.

    Scales that the network has no features of are left to be refused as foreign tensors.
    """
    return replace(
        config,
        cft_scales=_scales(names, "fuse_convs_dict", config) or config.cft_scales,
        cfa_scales=_scales(names, "cross_fuse", config) or config.cfa_scales,
    )


def _scales(names: Iterable[str], module: str, config: KeepConfig) -> tuple[int, ...]:
    found = (re.match(rf"{module}\.(\d+)\.", name) for name in names)
    scales = {int(match[1]) for match in found if match}
    return tuple(sorted(scales & set(config.level_sizes)))


def _held(config: KeepConfig, own: KeepConfig) -> list[tuple[str, tuple[int, ...]]]:
    """What a source holds that was trained as `own`, if it is of the wanted configuration."""
    kalman, cfa = config.kalman or own.kalman, config.cfa or own.cfa
    return tensor_shapes(replace(config, kalman=kalman, cfa=cfa))


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
    config = replace(config or configuration_of(source), **dict(changes or {}))
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
