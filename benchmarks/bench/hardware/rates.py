"""How fast something can multiply and copy: the two roofs of the roofline; of a processor, here."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import onnx
from onnx import TensorProto, helper

from keeprt.engine.errors import BackendError
from keeprt.kernels.installing import install_onnxruntime

MATRIX_SIZE = 2048
COPY_BYTES = 256 << 20  # read and as many written: far more than any cache
REPEATS = 3
THIS_MACHINE = "this machine"


@dataclass(frozen=True)
class Rates:
    """Sustained rates; a copied byte is read once and written once: two moved.

    `gflop_s` is of float32 products, `half_gflop_s` of float16 ones where they are another's: a
    processor computes half in float32. `of` says what it is that can do so much, `sheet` the
    datasheet that states it, empty for what was measured here.
    """

    gflop_s: float
    gb_s: float
    half_gflop_s: float | None = None
    of: str = THIS_MACHINE
    sheet: str = ""

    def floor_s(self, flop: Mapping[str, float], bytes_moved: float) -> float:
        """The least time for so much work by type: arithmetic and traffic overlap perfectly."""
        compute_s = sum(work / (self._rate(kind) * 1e9) for kind, work in flop.items())
        return max(compute_s, bytes_moved / (self.gb_s * 1e9))

    def _rate(self, kind: str) -> float:
        return self.gflop_s if kind == "float32" else self.half_gflop_s or self.gflop_s


class Meter(Protocol):
    """Where rates come from; `of_card` if they are a card's."""

    measured: list[Rates]
    of_card: bool

    def measure(self) -> Rates:
        """One sample, kept in `measured`."""

    def close(self) -> None:
        """Gives everything back."""


class RateMeter:
    """Measures the float32 matrix product of ONNX Runtime and a copy by all threads."""

    of_card = False

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
    """The rates that floors stand on, each one number, and what they are: the best of what was
    measured between the rounds, with what was seen, or what a datasheet states."""
    best = best_rates(samples)
    half = "" if best.half_gflop_s is None else f", {best.half_gflop_s:.0f} GFLOP/s (float16)"
    stated = (
        f"matrix products {best.gflop_s:.0f} GFLOP/s (float32){half}, copies {best.gb_s:.1f} GB/s "
        "read and written"
    )
    if best.sheet:
        return f"{stated}: stated by the {best.sheet}, not measured here"
    low = worst_rates(samples)
    halves = (
        ""
        if best.half_gflop_s is None
        else (f"{low.half_gflop_s:.0f} to {best.half_gflop_s:.0f} GFLOP/s (float16), ")
    )
    return (
        f"{stated}: the best of {len(samples)} measured between the rounds, which were "
        f"{low.gflop_s:.0f} to {best.gflop_s:.0f} GFLOP/s (float32), {halves}"
        f"{low.gb_s:.1f} to {best.gb_s:.1f} GB/s"
    )


def best_rates(samples: Sequence[Rates]) -> Rates:
    """The best of each rate over a run: a floor is the least time, at the speed once seen."""
    return _chosen(samples, max)


def worst_rates(samples: Sequence[Rates]) -> Rates:
    """The worst of each rate over a run."""
    return _chosen(samples, min)


def _chosen(samples: Sequence[Rates], choose: Callable[[Iterable[float]], float]) -> Rates:
    halves = [one.half_gflop_s for one in samples if one.half_gflop_s is not None]
    return replace(
        samples[0],
        gflop_s=choose(one.gflop_s for one in samples),
        gb_s=choose(one.gb_s for one in samples),
        half_gflop_s=choose(halves) if halves else None,
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
