"""Synthetic weights, version 1: every tensor is a function of its name, its shape and a seed.

The released weights cannot be shipped, so agreement and speed are measured on these. The gains keep
activations of order one and let every part of the network matter; the pictures mean nothing.
"""

import os
import re
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Manifest = Sequence[tuple[str, tuple[int, ...]]]
Kind = Literal["raw", "unit", "dense", "zero", "eye"]

_TABLE: list[tuple[str, Kind, float]] = [
    (r"quantize\.embedding\.weight", "raw", 1.0),
    (r"position_emb", "raw", 1.0),
    (r"kalman_filter\.kalman_gain_calculator\.3\.bias", "raw", 0.0),
    (r"flownet\..*bias", "raw", 0.03),
    (r".*bias", "raw", 0.1),
    # scales of normalisations
    (r"flownet\..*\.self_attn\.norm1\.weight", "unit", 0.3),
    (r"flownet\..*\.norm[12]\.weight", "unit", 1.0),
    (r"cross_fuse\..*\.norm[12]\.weight", "unit", 0.5),
    (r".*\.norm(1|2|3|_temp)?\.weight", "unit", 1.0),
    (r"(encoder|hq_encoder|generator)\.blocks\.23\.weight", "unit", 1.0),
    (r"idx_pred_layer\.0\.weight", "unit", 1.0),
    # optical flow
    (r"flownet\.model\.backbone\.conv1\.weight", "dense", 1.0),
    (r"flownet\.model\.backbone\.conv2\.weight", "zero", 0.5),
    (r"flownet\.model\.backbone\..*\.conv[12]\.weight", "zero", 1.4),
    (r"flownet\.model\.transformer\..*\.[qk]_proj\.weight", "zero", 0.5),
    (r"flownet\.model\.feature_flow_attn\.q_proj\.weight", "zero", 0.32),
    (r"flownet\.model\.feature_flow_attn\.k_proj\.weight", "eye", 0.3),
    (r"flownet\.model\.upsampler\.0\.weight", "zero", 0.3),
    (r"flownet\.model\.upsampler\.2\.weight", "zero", 2.0),
    (r"flownet\..*", "zero", 1.0),
    # gain network
    (r"kalman_filter\..*\.to_[qk]\.weight", "zero", 1.5),
    (r"kalman_filter\..*\.to_out\.0\.weight", "zero", 0.5),
    (r"kalman_filter\..*\.ff\.net\.2\.weight", "zero", 1.5),
    (r"kalman_filter\..*\.conv[12]\.weight", "zero", 1.7),
    (r"kalman_filter\.kalman_gain_calculator\.3\.weight", "dense", 0.3),
    # code lookup
    (r"ft_layers\..*\.out_proj\.weight", "zero", 0.3),
    (r"ft_layers\..*\.linear1\.weight", "zero", 1.4),
    (r"ft_layers\..*\.linear2\.weight", "zero", 0.5),
    (r"idx_pred_layer\.1\.weight", "zero", 4.0),
    # encoders, generator and fusion
    (r"(encoder|hq_encoder)\.blocks\.0\.weight", "dense", 1.0),
    (r"generator\.blocks\.24\.weight", "zero", 0.4),
    (r".*\.conv1\.weight", "zero", 1.7),
    (r".*\.conv2\.weight", "zero", 0.5),
    (r".*\.blocks\.\d+\.[qk]\.weight", "zero", 1.3),
    (r".*\.proj_out\.weight", "zero", 0.3),
    (r"fuse_convs_dict\..*\.scale\.2\.weight", "zero", 0.3),
    (r"fuse_convs_dict\..*\.shift\.2\.weight", "zero", 0.5),
    (r"cross_fuse\..*\.to_[qk]\.weight", "zero", 0.7),
]
_RULES = [(re.compile(pattern), kind, gain) for pattern, kind, gain in _TABLE]


def synthetic_tensor(name: str, shape: tuple[int, ...], seed: int) -> npt.NDArray[np.float32]:
    """The float32 weights of one tensor; the same bytes alone, in a set, and in any order.

    The normal stream calls the C library's logarithm: another one may change last bits.
    """
    kind, gain = _rule(name, len(shape))
    stream = np.random.RandomState(zlib.crc32(f"{seed}:{name}".encode()))
    normal: npt.NDArray[np.float64] = np.asarray(stream.standard_normal(shape))
    return _shaped(normal, kind, gain).astype(np.float32)


def synthetic_tensors(manifest: Manifest, seed: int) -> dict[str, npt.NDArray[np.float32]]:
    """The weights of every (name, shape) of the manifest, in its order."""

    def tensor(entry: tuple[str, tuple[int, ...]]) -> npt.NDArray[np.float32]:
        return synthetic_tensor(entry[0], entry[1], seed)

    # numpy draws and computes without the interpreter lock, so threads share the work
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        return dict(zip((name for name, _ in manifest), pool.map(tensor, manifest), strict=True))


def _rule(name: str, dimensions: int) -> tuple[Kind, float]:
    """The first rule that fits name and number of dimensions.

    The table is written for the released network, where the second condition changes nothing. A
    smaller one numbers its blocks differently: its last scale may not be block 23, and its block 23
    may be a convolution.
    """
    for pattern, kind, gain in _RULES:
        fits = kind == "raw" or (kind == "unit") == (dimensions < 2)
        if fits and pattern.fullmatch(name):
            return kind, gain
    return ("unit" if dimensions < 2 else "zero"), 1.0


def _shaped(normal: npt.NDArray[np.float64], kind: Kind, gain: float) -> npt.NDArray[np.float64]:
    """Standard normal values turned into weights; the order of operations decides the last bit."""
    if kind == "raw":
        return gain * normal
    if kind == "unit":
        return gain * (1.0 + 0.1 * normal)
    rows = normal.reshape(normal.shape[0], -1)
    if kind == "zero":
        # rounded, because the last bits of a mean depend on the order of summation
        rows = rows - np.round(rows.mean(axis=1, keepdims=True), 6)
    scaled: npt.NDArray[Any] = rows * (gain / float(np.sqrt(rows.shape[1])))
    if kind == "eye":
        scaled += np.eye(*rows.shape)
    return scaled.reshape(normal.shape)
