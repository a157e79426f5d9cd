"""ONNX Runtime on a card: sessions on the frame's own streams, bound to its memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.bundle.specs import stored_dtype
from keeprt.engine.devices.cuda.engines import Run
from keeprt.engine.errors import BackendError
from keeprt.engine.libraries.onnxruntime.providers import prepare, provider_named
from keeprt.engine.libraries.onnxruntime.sessions import (
    check_precision,
    element_type,
    import_onnxruntime,
    load_session,
    session_options,
)


class OnnxRuntimeEngines:
    """One session per subgraph, each on one stream; a run neither copies nor waits.

    ONNX Runtime allocates while it runs, so a run cannot be captured into a CUDA graph.
    """

    def __init__(self, bundle: Bundle, provider: str = "cuda", device: int = 0) -> None:
        """`provider` "cpu" binds host memory in place of a card's, for tests.

        Raises UsageError for an unknown provider, BackendError where it or the library is missing.
        """
        check_precision(bundle, provider)
        self._ort, self._provider = import_onnxruntime(), provider_named(provider)
        self._options = session_options(self._ort, None if provider == "cuda" else 1)
        prepare(self._ort, self._provider, self._options)
        self._bundle, self._device = bundle, device
        self._memory = "cpu" if provider == "cpu" else "cuda"
        self._sessions: dict[str, Any] = {}
        self._run_options = self._ort.RunOptions()
        self._run_options.add_run_config_entry("disable_synchronize_execution_providers", "1")

    @property
    def captures(self) -> bool:
        """False."""
        return False

    def join(self, streams: Mapping[str, int]) -> None:
        """Opens the sessions. Raises BundleError or BackendError."""
        for name, stream in streams.items():
            provider = self._provider
            if self._memory == "cuda":
                on_stream = {"device_id": str(self._device), "user_compute_stream": str(stream)}
                provider = replace(provider, options={**provider.options, **on_stream})
            session = load_session(self._ort, provider, self._bundle, name, self._options)
            self._sessions[name] = (session, stream)

    def warmed(self) -> None:
        """Nothing is kept between starts."""

    def close(self) -> None:
        """Drops the sessions and the memory that they hold."""
        self._sessions.clear()

    def bind(self, subgraph: str, addresses: Mapping[str, int], axes: Mapping[str, int]) -> Run:
        """One subgraph on fixed addresses, to be put on its stream as often as wanted."""
        session, joined = self._sessions[subgraph]
        binding, spec = session.io_binding(), self._bundle.subgraphs[subgraph]
        for tensors, bind in (
            (spec.inputs, binding.bind_input),
            (spec.outputs, binding.bind_output),
        ):
            for tensor in tensors:
                kind, shape = element_type(stored_dtype(tensor.dtype)), tensor.sized(**axes)
                bind(tensor.name, self._memory, self._device, kind, shape, addresses[tensor.name])

        def run(stream: int) -> None:
            if stream != joined:
                raise BackendError(f"{subgraph} was opened on another stream than it is put on")
            session.run_with_iobinding(binding, self._run_options)

        return run
