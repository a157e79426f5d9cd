"""Memory that is taken at the start and lives as long as what works with it."""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from keeprt.engine.devices.cuda.guest import one_line
from keeprt.engine.frame.buffers import Array

if TYPE_CHECKING:
    from cuda.core import Buffer, Device, Stream


class KeptMemory:
    """Blocks of device memory and of page-locked host memory, given back together."""

    def __init__(self, device: Device, stream: Stream) -> None:
        """Device memory is taken and given back in the order of `stream`."""
        from cuda.core import LegacyPinnedMemoryResource

        self._device, self._stream = device, stream
        self._pinned_memory = LegacyPinnedMemoryResource()
        self._kept: list[Buffer] = []

    def take(self, size_bytes: int) -> Buffer:
        """Further device memory. Raises BackendError where there is none."""
        with one_line(f"{size_bytes / 1e6:.0f} MB of GPU memory are not to be had"):
            self._kept.append(self._device.allocate(size_bytes, stream=self._stream))
        return self._kept[-1]

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> tuple[Buffer, Array]:
        """Page-locked host memory, as cuda-core and as NumPy see it. Raises BackendError."""
        size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        with one_line(f"{size_bytes / 1e6:.0f} MB of page-locked memory are not to be had"):
            buffer = self._pinned_memory.allocate(size_bytes)
        self._kept.append(buffer)
        memory = (ctypes.c_ubyte * size_bytes).from_address(int(buffer.handle))
        return buffer, np.frombuffer(memory, dtype).reshape(shape)

    def close(self) -> None:
        """Gives everything back, once all that works with it is done."""
        for buffer in self._kept:
            buffer.close()
        self._kept.clear()
