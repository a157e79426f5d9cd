"""ONNX Runtime: the CPU backend, and on a GPU the fallback."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.bundle.specs import BFLOAT16, SubgraphSpec
from keeprt.engine.errors import BackendError, BundleError, KeeprtError
from keeprt.engine.libraries.onnxruntime.cpu_forms import cpu_graph
from keeprt.engine.libraries.onnxruntime.providers import (
    PROVIDERS,
    Provider,
    on_device,
    open_session,
    prepare,
    provider_named,
)
from keeprt.kernels.installing import install_onnxruntime

ORT_TYPES = {
    "float32": "tensor(float)",
    "float16": "tensor(float16)",
    "bfloat16": "tensor(bfloat16)",
    "int64": "tensor(int64)",
    "bool": "tensor(bool)",
}

ONNX_BFLOAT16 = 16  # TensorProto.DataType

Arrays = Mapping[str, NDArray[Any]]


class OnnxRuntimeBackend:
    """One session per subgraph, run on arrays that the caller owns; a run allocates nothing."""

    def __init__(
        self,
        bundle: Bundle,
        provider: str = "cpu",
        threads: int | None = None,
        device: int = 0,
    ) -> None:
        """Loads every subgraph of a checked bundle.

        `threads` is the number of threads inside an operator, None for one per core; `device` the
        number of the card. Raises UsageError for an unknown provider or one that takes no number,
        BackendError where the library or the provider is missing, BundleError where a graph is not
        what the manifest says.
        """
        self.provider = provider
        check_precision(bundle, provider)
        ort, chosen = import_onnxruntime(), on_device(provider_named(provider), device)
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
            kind = element_type(array.dtype)
            binding.bind_input(name, "cpu", 0, kind, array.shape, array.ctypes.data)
        for name, array in outputs.items():
            kind = element_type(array.dtype)
            binding.bind_output(name, "cpu", 0, kind, array.shape, array.ctypes.data)
        return lambda: session.run_with_iobinding(binding)


def check_precision(bundle: Bundle, provider: str) -> None:
    """Raises BackendError for bfloat16 on a CPU, which has no kernels for it."""
    if provider == "cpu" and bundle.manifest.precision == "bf16":
        raise BackendError(
            "this bundle is bf16, which ONNX Runtime does not compute on a CPU: run it on a card "
            "(--backend rtx or tensorrt, --provider cuda), or export with --precision fp32"
        )


def element_type(dtype: Any) -> Any:
    """A buffer's type as ONNX Runtime's bindings take it."""
    return ONNX_BFLOAT16 if dtype == BFLOAT16 else dtype


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
    _check_border(name, bundle.subgraphs[name], session)
    return session


def import_onnxruntime() -> Any:
    """The library. Raises BackendError naming the extras to install."""
    try:
        import onnxruntime
    except ImportError:
        raise BackendError(f"ONNX Runtime is not installed: {install_onnxruntime()}") from None
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
