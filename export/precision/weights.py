"""Weights in half precision, with a count of what half cannot hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

TYPES: dict[int, Any] = {TensorProto.FLOAT16: np.float16, TensorProto.BFLOAT16: ml_dtypes.bfloat16}


@dataclass(frozen=True)
class HalfWeights:
    """What rounding did to one tensor.

    `overflowing` values became infinite, `flushed` ones zero; `subnormal` ones are kept, but with
    fewer than all bits of the mantissa. `error` is the relative L2 error of the tensor.
    """

    name: str
    size: int
    largest: float
    overflowing: int
    subnormal: int
    flushed: int
    error: float


def to_half(
    values: NDArray[np.float32], name: str, half: int
) -> tuple[onnx.TensorProto, HalfWeights]:
    """Rounds a tensor to an ONNX half type, nearest even, and says what was lost."""
    kind = TYPES[half]
    with np.errstate(over="ignore"):
        rounded = values.astype(kind)
    back = rounded.astype(np.float32)
    small = (np.abs(values) < float(ml_dtypes.finfo(kind).tiny)) & (values != 0)
    zero = small & (back == 0)
    finite = np.isfinite(back)
    norm = float(np.linalg.norm(values[finite].astype(np.float64)))
    lost = float(np.linalg.norm((back - values)[finite].astype(np.float64)))
    report = HalfWeights(
        name=name,
        size=values.size,
        largest=float(np.abs(values).max(initial=0)),
        overflowing=int(values.size - finite.sum()),
        subnormal=int(small.sum() - zero.sum()),
        flushed=int(zero.sum()),
        error=lost / norm if norm else 0.0,
    )
    return numpy_helper.from_array(rounded, name), report


def summary(weights: list[HalfWeights], half: str) -> str:
    """One line on all weights of a subgraph."""
    size = sum(weight.size for weight in weights)
    below = sum(weight.subnormal for weight in weights)
    flushed = sum(weight.flushed for weight in weights)
    largest = max((weight.largest for weight in weights), default=0.0)
    worst = max(weights, key=lambda weight: weight.error, default=None)
    line = f"{size:,} weights in {half}, largest {largest:.3g}"
    if below or flushed:
        line += f", {below:,} below the normal range (kept as subnormal), {flushed:,} become zero"
    if worst is not None and worst.error > TENSOR_ERROR:
        line += f"; {worst.name} is off by {worst.error:.1%}"
    return line


# A tensor whose rounding error is above this lies mostly below the normal range: 11 bits of
# mantissa give 2e-4 in float16, 8 bits 1.7e-3 in bfloat16.
TENSOR_ERROR = 5e-3
