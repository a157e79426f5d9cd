"""The few calls of the CUDA driver that plans need, and the scratch memory that contexts share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.errors import BackendError
from keeprt.kernels.installing import install


class Scratch:
    """Scratch memory that contexts share whose runs follow each other."""

    def __init__(self, cuda: CudaCalls) -> None:
        self._cuda, self._asked, self._block = cuda, 0, (0, 0)

    def ask(self, size_bytes: int) -> None:
        """So much will be needed; as long as nothing runs, it only counts."""
        self._asked = max(self._asked, size_bytes)

    def block(self, size_bytes: int) -> tuple[int, int]:
        """Address and size of memory that is large enough; what has been given stays as it is."""
        if size_bytes > self._block[1]:
            size = max(size_bytes, self._asked)
            self._block = (self._cuda.allocate(size), size)
        return self._block


class CudaCalls:
    """The few calls of the CUDA driver that running needs; entered, the card's context is
    current."""

    def __init__(self, device: int) -> None:
        """Raises BackendError without cuda-bindings or the card."""
        try:
            from cuda.bindings import driver
        except ImportError:
            raise BackendError(f"cuda-bindings is not installed: {install('rtx')}") from None
        self._driver = driver
        self._taken: list[int] = []
        self._streams: list[int] = []
        self._call(driver.cuInit, 0)
        handle = self._call(driver.cuDeviceGet, device)
        self._context = self._call(driver.cuDevicePrimaryCtxRetain, handle)

    def __enter__(self) -> None:
        self._call(self._driver.cuCtxPushCurrent, self._context)

    def __exit__(self, *error: object) -> None:
        self._call(self._driver.cuCtxPopCurrent)

    def new_stream(self) -> int:
        """A stream that does not wait for the legacy one, until `free_all`."""
        flags = self._driver.CUstream_flags.CU_STREAM_NON_BLOCKING
        self._streams.append(int(self._call(self._driver.cuStreamCreate, flags)))
        return self._streams[-1]

    def allocate(self, size_bytes: int) -> int:
        """Memory of the card, until `free_all`."""
        self._taken.append(int(self._call(self._driver.cuMemAlloc, size_bytes)))
        return self._taken[-1]

    def free_all(self) -> None:
        """Gives everything back that was allocated or made."""
        while self._taken:
            self._call(self._driver.cuMemFree, self._taken.pop())
        while self._streams:
            self._call(self._driver.cuStreamDestroy, self._streams.pop())

    def to_device(self, pointer: int, array: NDArray[Any], stream: int) -> None:
        """Puts a copy on the stream."""
        source = np.ascontiguousarray(array)
        self._call(
            self._driver.cuMemcpyHtoDAsync, pointer, source.ctypes.data, source.nbytes, stream
        )

    def to_host(self, array: NDArray[Any], pointer: int, stream: int) -> None:
        """Puts a copy on the stream; the array is ready after `wait`."""
        self._call(self._driver.cuMemcpyDtoHAsync, array.ctypes.data, pointer, array.nbytes, stream)

    def wait(self, stream: int) -> None:
        """Waits for all that was put on the stream."""
        self._call(self._driver.cuStreamSynchronize, stream)

    def _call(self, function: Any, *arguments: Any) -> Any:
        code, *values = function(*arguments)
        if int(code):
            raise BackendError(f"CUDA: {function.__name__} says {code.name}; run `keeprt doctor`")
        return values[0] if values else None
