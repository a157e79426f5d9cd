"""How fast this machine can multiply and copy right now: the two roofs of the roofline."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from keeprt.engine.errors import BackendError
from keeprt.kernels.installing import install_onnxruntime

MATRIX_SIZE = 2048
COPY_BYTES = 256 << 20  # read and as many written: far more than any cache
REPEATS = 3


@dataclass(frozen=True)
class Rates:
    """Sustained rates of a machine; a copied byte is read once and written once: two moved."""

    gflop_s: float
    gb_s: float

    def floor_s(self, flop: float, bytes_moved: float) -> float:
        """The least time for so much work: arithmetic and traffic overlap perfectly."""
        return max(flop / (self.gflop_s * 1e9), bytes_moved / (self.gb_s * 1e9))


class RateMeter:
    """Measures the float32 matrix product of ONNX Runtime and a copy by all threads."""

    def __init__(self, threads: int | None = None) -> None:
        """`threads` as for the engine; None is one per core. Raises BackendError."""
        self._threads = threads or os.cpu_count() or 1
        self._product = _matrix_product(self._threads)
        self._pool = ThreadPoolExecutor(self._threads)
        parts = COPY_BYTES // 8 // self._threads
        self._from = [np.ones(parts, np.float64) for _ in range(self._threads)]
        self._to = [np.zeros(parts, np.float64) for _ in range(self._threads)]
        self.measured: list[Rates] = []

    def measure(self) -> Rates:
        """One sample of both rates, the best of a few repeats, kept in `measured`."""
        product_s = min(_seconds(self._product) for _ in range(REPEATS))
        copy_s = min(_seconds(self._copy) for _ in range(REPEATS))
        moved = 2 * sum(part.nbytes for part in self._from)
        rates = Rates(2 * MATRIX_SIZE**3 / product_s / 1e9, moved / copy_s / 1e9)
        self.measured.append(rates)
        return rates

    def close(self) -> None:
        """Gives the threads back."""
        self._pool.shutdown()

    def _copy(self) -> None:
        for done in [
            self._pool.submit(np.copyto, to, from_)
            for to, from_ in zip(self._to, self._from, strict=True)
        ]:
            done.result()


def rates_in_words(samples: Sequence[Rates]) -> str:
    """The rates that floors stand on, each one number with what was seen between the rounds."""
    best = best_rates(samples)
    low = Rates(min(s.gflop_s for s in samples), min(s.gb_s for s in samples))
    return (
        f"matrix products {best.gflop_s:.0f} GFLOP/s (float32), copies {best.gb_s:.1f} GB/s read "
        f"and written: the best of {len(samples)} measured between the rounds, which were "
        f"{low.gflop_s:.0f} to {best.gflop_s:.0f} GFLOP/s and "
        f"{low.gb_s:.1f} to {best.gb_s:.1f} GB/s"
    )


def best_rates(samples: Sequence[Rates]) -> Rates:
    """The best of each rate over a run: a floor is the least time, at the speed once seen."""
    return Rates(
        max(sample.gflop_s for sample in samples),
        max(sample.gb_s for sample in samples),
    )


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _matrix_product(threads: int) -> Callable[[], None]:
    try:
        import onnxruntime
    except ImportError:
        raise BackendError(f"ONNX Runtime is not installed: {install_onnxruntime()}") from None
    real, shape = TensorProto.FLOAT, [MATRIX_SIZE, MATRIX_SIZE]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info(name, real, shape) for name in "ab"],
        [helper.make_tensor_value_info("c", real, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    random = np.random.default_rng(0)
    inputs = {name: random.standard_normal(shape, np.float32) for name in "ab"}
    binding: Any = session.io_binding()
    result = np.zeros(shape, np.float32)
    for name, array in inputs.items():
        binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
    binding.bind_output("c", "cpu", 0, result.dtype, result.shape, result.ctypes.data)

    def run(kept: Sequence[Any] = (inputs, result)) -> None:
        """Holds on to the bound arrays."""
        session.run_with_iobinding(binding)

    return run
