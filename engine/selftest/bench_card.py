"""A card to try single kernels on: arrays in, one launch, an array out."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.devices.cuda.guest import visit_card
from keeprt.kernels.launch import Launch
from keeprt.kernels.loader import load_kernels, submit

Array = NDArray[Any]


class BenchCard:
    """Entered, its context is current."""

    def __init__(self, device: int) -> None:
        """Raises BackendError without a driver, the card or the wheels."""
        self._visit = visit_card(device)
        with self._visit:
            self._kernels = load_kernels(device)

    def __enter__(self) -> BenchCard:
        from cuda.core import LegacyPinnedMemoryResource

        self._visit.__enter__()
        self._stream = self._visit.device.create_stream()
        self._pinned = LegacyPinnedMemoryResource()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._visit.__exit__(kind, error, trace)

    def result(
        self,
        launch: Callable[..., Launch],
        inputs: Sequence[Array],
        like: Array,
        starts: Array | None = None,
    ) -> Array:
        """What a launch writes: it is given the addresses of the inputs and of an array `like`
        another, which holds `starts` before, zeros if None."""
        before = np.zeros_like(like) if starts is None else starts
        buffers = [self._put(array) for array in (*inputs, before)]
        submit(self._kernels, self._stream, launch(*(int(b.handle) for b in buffers)))
        found = self._get(buffers[-1], like)
        for buffer in buffers:
            buffer.close()
        return found

    def _put(self, array: Array) -> Any:
        staging = self._pinned.allocate(array.nbytes)
        self._bytes(staging)[:] = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        buffer = self._visit.device.allocate(array.nbytes, stream=self._stream)
        staging.copy_to(buffer, stream=self._stream)
        self._stream.sync()
        staging.close()
        return buffer

    def _get(self, buffer: Any, like: Array) -> Array:
        staging = self._pinned.allocate(like.nbytes)
        buffer.copy_to(staging, stream=self._stream)
        self._stream.sync()
        found = self._bytes(staging).copy().view(like.dtype).reshape(like.shape)
        staging.close()
        return found

    def _bytes(self, buffer: Any) -> Array:
        memory = (ctypes.c_ubyte * int(buffer.size)).from_address(int(buffer.handle))
        return np.ctypeslib.as_array(memory)
