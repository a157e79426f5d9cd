"""What a verification is of: bundle, weights, backend, clip; errors where one is missing."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keeprt.benchmarks.precision.runs import Recorder
from keeprt.benchmarks.precision.storage import stored_backend
from keeprt.engine.bundle.load import Bundle
from keeprt.engine.errors import BackendError, BundleError, CheckpointError, UsageError
from keeprt.engine.frame.buffers import Array
from keeprt.engine.libraries.onnxruntime.sessions import OnnxRuntimeBackend
from keeprt.engine.libraries.tensorrt.run import TensorRtBackend
from keeprt.engine.opening import BACKENDS
from keeprt.engine.state import state_shapes
from keeprt.engine.summaries import cpu_model, library_versions

if TYPE_CHECKING:
    from keeprt.export.model import Keep, KeepConfig

# The word for float32 in manifests of the first exporter.
PRECISION_NAMES = {"float32": "fp32"}


def judged_names(bundle: Bundle, window: int) -> list[str]:
    """All that a pattern of limits can be of: "subgraph.output" and "state.array"."""
    outputs = [f"{name}.{out.name}" for name, spec in bundle.subgraphs.items()
               for out in spec.outputs]  # fmt: skip
    return [*outputs, *(f"state.{name}" for name in state_shapes(bundle, window))]


def precision_of(bundle: Bundle) -> str:
    """The precision by its present name."""
    found = bundle.manifest.precision
    return PRECISION_NAMES.get(found, found)


def open_backend(
    bundle: Bundle, backend: str, provider: str, threads: int | None, window: int, device: int = 0
) -> Recorder:
    """The backend under test, for gains of at most so many frames, on the card number `device`.

    On a processor half results are stored in half, one by one, as on a card: ONNX Runtime alone
    keeps float32 between half nodes, and neither rounding nor overflow would show.

    Raises BackendError for an unknown one, and for what it needs that this machine has not.
    """
    if backend not in BACKENDS:
        raise BackendError(f"unknown backend {backend!r}; there are {', '.join(BACKENDS)}")
    if backend == "onnxruntime" and provider == "cpu":
        return Recorder(stored_backend(bundle, threads))
    if backend == "onnxruntime":
        return Recorder(OnnxRuntimeBackend(bundle, provider, threads, device))
    plans = TensorRtBackend.for_frames(bundle, backend, faces=1, window=window, device=device)
    return Recorder(PlansOnHost(plans))


@dataclass(frozen=True)
class PlansOnHost:
    """TensorRT plans on arrays in host memory, copied there and back at each run.

    What is compared is what the plans compute; the frame's list on the card has tests of its own.
    """

    plans: TensorRtBackend

    def bind(
        self, subgraph: str, inputs: Mapping[str, Array], outputs: Mapping[str, Array]
    ) -> Callable[[], None]:
        """One subgraph on fixed arrays."""
        return lambda: self.plans.run(subgraph, inputs, outputs)

    def close(self) -> None:
        """Gives the card's memory back."""
        self.plans.close()


def reference_of(
    bundle: Bundle,
    weights: str | None,
    on_bytes: Callable[[int, int | None], None] | None = None,
    notify: Callable[[str], None] | None = None,
) -> Keep:
    """The PyTorch network with the very weights that the bundle was made of.

    `weights` None takes the manifest's source, where its name is enough to find it. Raises
    CheckpointError where other weights, or none, are at hand; BundleError for a configuration
    that is none.
    """
    from keeprt.export.pipeline import load_network

    wanted = bundle.manifest
    source = weights or _source_named(bundle)
    try:
        network, digest = load_network(
            source, configuration_of(bundle), on_bytes=on_bytes, notify=notify
        )
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {_needed(bundle)}") from None
    if digest != wanted.weights_sha256:
        raise CheckpointError(f"{source} has SHA-256 {digest}: other weights; {_needed(bundle)}")
    return network


def configuration_of(bundle: Bundle) -> KeepConfig:
    """The network's configuration as the manifest has it. Raises BundleError."""
    from keeprt.export.model import KeepConfig

    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in bundle.manifest.configuration.items()
    }
    try:
        return KeepConfig(**values)
    except (TypeError, ValueError) as error:
        raise BundleError(f"{bundle.path}: no configuration of this network: {error}") from None


def subject_of(
    bundle: Bundle, mode: str, window: int, chunk: int, clip: dict[str, Any], frames: int
) -> dict[str, Any]:
    """What must be the same for two results to be compared."""
    return {
        "bundle_sha256": bundle.identity,
        "weights_sha256": bundle.manifest.weights_sha256,
        "mode": mode,
        **({"window": window} if mode == "stream" else {"chunk": chunk}),
        "clip": clip["name"],
        "clip_kind": clip["kind"],
        "frames": frames,
    }


def notes_of(bundle: Bundle, backend: str, provider: str, threads: int | None) -> dict[str, Any]:
    """What else a reader should know: precision, weights, libraries, machine."""
    return {
        "precision": precision_of(bundle),
        "weights_source": bundle.manifest.weights_source,
        "synthetic": bundle.is_synthetic,
        "face_size": bundle.face_size,
        "backend": backend,
        "provider": provider,
        "threads": threads or os.cpu_count(),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        **library_versions(),
        **_runtime_version(),
    }


def _source_named(bundle: Bundle) -> str:
    if source := bundle.findable_weights:
        return source
    raise CheckpointError(f"the reference's weights are not at hand: {_needed(bundle)}")


def _needed(bundle: Bundle) -> str:
    manifest = bundle.manifest
    return (
        f"the bundle was made of {manifest.weights_source!r} with SHA-256 "
        f"{manifest.weights_sha256}: give its file with --weights"
    )


def _runtime_version() -> dict[str, str]:
    import onnxruntime

    return {"onnxruntime": str(onnxruntime.__version__)}


def check_run(mode: str, window: int, chunk: int, frames: int, samples: int) -> None:
    """Raises UsageError for a run that cannot be."""
    if mode not in ("stream", "clip"):
        raise UsageError(f"unknown mode {mode!r}; choose 'stream' or 'clip'")
    if window < 2 or chunk < 1:
        raise UsageError("window must be at least 2, chunk at least 1")
    if frames < 2 or samples < 2:
        raise UsageError("give at least 2 --frames and 2 --samples: the network is recurrent")
