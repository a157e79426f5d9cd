"""Subgraphs on the driver in host memory: ONNX Runtime inside its streams, as host functions."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.bundle.specs import stored_dtype
from keeprt.engine.libraries.onnxruntime.sessions import OnnxRuntimeBackend

CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def driver() -> Any:
    """The driver of this process, with the functions that only the one in host memory has."""
    library = ctypes.CDLL("libcuda.so.1")
    library.cuLaunchHostFunc.argtypes = [ctypes.c_void_p, CALLBACK, ctypes.c_void_p]
    library.hostdriver_count.argtypes = [ctypes.c_char_p]
    library.hostdriver_count.restype = ctypes.c_long
    library.hostdriver_live.restype = ctypes.c_size_t
    return library


def count(what: str) -> int:
    """How often a call of the driver was made, or "violation"."""
    return int(driver().hostdriver_count(what.encode()))


def array_at(address: int, shape: tuple[int, ...], dtype: Any) -> Any:
    """Memory of the card as an array."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = (ctypes.c_ubyte * size).from_address(address)
    return np.frombuffer(memory, dtype).reshape(shape)


class HostEngines:
    """`Engines` whose runs are host functions; `fails` names a subgraph that refuses to run."""

    captures = True

    def __init__(self, bundle: Bundle) -> None:
        self.bundle, self.sessions = bundle, OnnxRuntimeBackend(bundle, threads=1)
        self.keys: list[tuple[object, ...]] = []
        self.errors: list[str] = []
        self.fails = ""
        self.ran = 0
        self.warm = self.closed = False
        self._driver, self._kept = driver(), []  # type: ignore[var-annotated]
        self._busy: dict[str, threading.Lock] = {
            name: threading.Lock() for name in bundle.subgraphs
        }

    def join(self, streams: Mapping[str, int]) -> None:
        self.streams = dict(streams)

    def warmed(self) -> None:
        self.warm = True

    def close(self) -> None:
        self.closed = True

    def host_run(
        self, subgraph: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]
    ) -> Callable[[], None]:
        """What a run of the subgraph does, on arrays over the card's memory."""
        return self.sessions.bind(subgraph, inputs, outputs)

    def bind(
        self, subgraph: str, addresses: Mapping[str, int], axes: Mapping[str, int]
    ) -> Callable[[int], None]:
        self.keys.append((subgraph, *sorted(addresses.items()), *sorted(axes.items())))
        spec = self.bundle.subgraphs[subgraph]
        inputs, outputs = (
            {
                t.name: array_at(addresses[t.name], t.sized(**axes), stored_dtype(t.dtype))
                for t in tensors
            }
            for tensors in (spec.inputs, spec.outputs)
        )
        run = self.host_run(subgraph, inputs, outputs)

        def work(_: object) -> None:
            # Contexts of a subgraph share scratch memory: two at once would be a race.
            if not self._busy[subgraph].acquire(blocking=False):
                self.errors.append(f"{subgraph} ran twice at once")
                return
            try:
                run()
                self.ran += 1
            except Exception as error:
                self.errors.append(repr(error))
            finally:
                self._busy[subgraph].release()

        callback = CALLBACK(work)
        self._kept.append(callback)

        def put(stream: int) -> None:
            if self.fails == subgraph:
                raise RuntimeError(f"{subgraph} refused")
            code = self._driver.cuLaunchHostFunc(stream, callback, None)
            if code:
                raise RuntimeError(f"cuLaunchHostFunc says {code}")

        return put
