"""What the NumPy twins share: a check that names the wrong array, and scratch memory per thread."""

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.kernels.errors import UsageError

FloatArray = NDArray[np.float32]

_memory = threading.local()


def expect(
    name: str, array: NDArray[Any], shape: tuple[int, ...], dtype: type = np.float32
) -> None:
    """Raise UsageError unless `array` has this shape and type."""
    if array.shape != shape or array.dtype != dtype:
        wanted = np.dtype(dtype).name
        raise UsageError(
            f"{name} is {array.dtype} of shape {array.shape}; give {wanted} of shape {shape}"
        )


def scratch(name: str, shape: tuple[int, ...], dtype: type = np.float32) -> NDArray[Any]:
    """Uninitialised memory of this thread, reused by the next call under the same name."""
    size = int(np.prod(shape))
    held: NDArray[Any] | None = getattr(_memory, name, None)
    if held is None or held.size < size or held.dtype != dtype:
        held = np.empty(size, dtype)
        setattr(_memory, name, held)
    return held[:size].reshape(shape)


def damaged_values() -> np.errstate:
    """No warnings for NaN and infinity where they have a meaning."""
    return np.errstate(over="ignore", invalid="ignore")
