"""ONNX Runtime: the CPU backend, and on a GPU the fallback."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.backends.onnxruntime_cpu import cpu_graph
from keeprt.engine.backends.onnxruntime_providers import (
    PROVIDERS,
    Provider,
    open_session,
    prepare,
    provider_named,
)
from keeprt.engine.bundle import Bundle, SubgraphSpec
from keeprt.engine.errors import BackendError, BundleError, KeeprtError

ORT_TYPES = {
    "float32": "tensor(float)",
    "float16": "tensor(float16)",
    "bfloat16": "tensor(bfloat16)",
    "int64": "tensor(int64)",
    "bool": "tensor(bool)",
}

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class DeviceTensor:
    """A C-contiguous tensor in GPU memory that the caller owns; `dtype` as in the manifest."""

    pointer: int
    dtype: str
    shape: tuple[int, ...]
    device: int = 0

    def binding(self) -> tuple[str, int, np.dtype[Any], tuple[int, ...], int]:
        """Arguments of ONNX Runtime's bind_input and bind_output after the name."""
        return "cuda", self.device, numpy_dtype(self.dtype), self.shape, self.pointer


class OnnxRuntimeBackend:
    """One session per subgraph, run on arrays that the caller owns; a run allocates nothing."""

    def __init__(self, bundle: Bundle, provider: str = "cpu", threads: int | None = None) -> None:
        """Loads every subgraph of a checked bundle.

        `threads` is the number of threads inside an operator, None for one per core. Raises
        UsageError for an unknown provider, BackendError where the library or the provider is
        missing, BundleError where a graph is not what the manifest says.
        """
        self.provider = provider
        ort, chosen = import_onnxruntime(), provider_named(provider)
        options = session_options(ort, threads)
        prepare(ort, chosen, options)
        self._sessions = {
            name: load_session(ort, chosen, bundle, name, options) for name in bundle.subgraphs
        }

    def run(self, subgraph: str, inputs: Arrays, outputs: Arrays) -> None:
        """Runs one subgraph from `inputs` into `outputs`, C-contiguous arrays in host memory."""
        self.bind(subgraph, inputs, outputs)()

    def bind(self, subgraph: str, inputs: Arrays, outputs: Arrays) -> Callable[[], None]:
        """One subgraph on fixed arrays, to be called as often as wanted; `run` is one such call."""
        session = self._sessions[subgraph]
        binding = session.io_binding()
        for name, array in inputs.items():
            binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        for name, array in outputs.items():
            binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        return lambda: session.run_with_iobinding(binding)

    def run_on_device(
        self,
        subgraph: str,
        inputs: Mapping[str, DeviceTensor],
        outputs: Mapping[str, DeviceTensor],
    ) -> None:
        """Runs one subgraph on tensors in a GPU's memory; returns when their values are there.

        Raises BackendError for a backend on the CPU, whose memory is another.
        """
        if self.provider == "cpu":
            raise BackendError("the cpu provider has no device memory: use run()")
        session = self._sessions[subgraph]
        binding = session.io_binding()
        for name, tensor in inputs.items():
            binding.bind_input(name, *tensor.binding())
        for name, tensor in outputs.items():
            binding.bind_output(name, *tensor.binding())
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()


def session_options(ort: Any, threads: int | None) -> Any:
    """Options of a session with so many threads inside an operator, None for one per core."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    return options


def load_session(ort: Any, provider: Provider, bundle: Bundle, name: str, options: Any) -> Any:
    """A subgraph's session on a provider that `prepare` found.

    Raises BundleError where the graph is not what the manifest says, BackendError where the
    provider does not start.
    """
    file = bundle.file(name)
    try:
        on_cpu = provider.ort_name == PROVIDERS["cpu"].ort_name
        session = open_session(ort, provider, cpu_graph(file) if on_cpu else str(file), options)
    except KeeprtError:
        raise
    except Exception as error:  # the library raises a family of its own, unrelated classes
        reason = str(error).splitlines()[0]
        raise BundleError(f"ONNX Runtime cannot load {file}: {reason}") from error
    if provider.ort_name != session.get_providers()[0]:
        raise BackendError(f"ONNX Runtime did not start {provider.ort_name}; run `keeprt doctor`")
    _check_border(name, bundle.subgraphs[name], session)
    return session


def import_onnxruntime() -> Any:
    """The library. Raises BackendError naming the extras to install."""
    try:
        import onnxruntime
    except ImportError:
        raise BackendError(
            "ONNX Runtime is not installed: pip install 'keeprt[cpu]', or 'keeprt[cuda]' for a GPU"
        ) from None
    return onnxruntime


def _check_border(name: str, graph: SubgraphSpec, session: Any) -> None:
    """A graph that differs from its manifest would be fed garbage: refuse it when loaded."""
    for specs, found in (
        (graph.inputs, session.get_inputs()),
        (graph.outputs, session.get_outputs()),
    ):
        expected = [(spec.name, ORT_TYPES[spec.dtype], list(spec.shape)) for spec in specs]
        actual = [(value.name, value.type, list(value.shape)) for value in found]
        if expected != actual:
            raise BundleError(f"{graph.file}: {name} has {actual}, the manifest says {expected}")


def numpy_dtype(dtype: str) -> np.dtype[Any]:
    """NumPy's type for a manifest's. Raises BackendError for bfloat16, which NumPy lacks."""
    if dtype == "bfloat16":
        raise BackendError("NumPy has no bfloat16: this bundle is for TensorRT only")
    return np.dtype(dtype)
